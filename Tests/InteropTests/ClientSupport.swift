import EtcdClient
import TestSupport

extension Cluster {
  /// A client that signs in; each password is `pw`.
  func client(as name: String) throws -> EtcdClient {
    try EtcdClient(
      EtcdClientConfiguration(
        endpoints: [endpoints], credentials: .init(name: name, password: "pw")))
  }
}

extension EtcdClient {
  /// Writes seven keys `w/0` … in turn until it is told to stop, and `w/last` then, whatever members do meanwhile.
  func writeKeys(until stopped: Shared<Bool>, last: Bytes) async throws {
    var number = 0
    while !stopped.withLock({ $0 }) {
      number += 1
      // What becomes of a request whose server goes away is unknown, and no matter.
      _ = try? await kv.put(Bytes("w/\(number % 7)"), Bytes("\(number)"))
      try await Task.sleep(for: .milliseconds(5))
    }
    while (try? await kv.put("w/last", last)) == nil {}
  }
}
