import Bytes
import Calls
import EtcdAPI
import Foundation
import Protobuf

/// Leases: granted, kept alive and revoked, as many at a time as the server takes.
extension Bench {
  private typealias API = Etcdserverpb

  func leases() async throws {
    for _ in 1...options.runs {
      for server in pair { try await leases(server) }
    }
    for members in [1, 3] {
      for server in pair { try await revocation(server, members: members) }
    }
  }

  /// One revocation that deletes very many keys, and who reads meanwhile.
  private func revocation(_ server: Server, members: Int) async throws {
    let cluster = try await cluster(server, members: members)
    let client = cluster.clients[cluster.leader]
    let keys = scaled(500_000)
    _ = try await client.call(
      API.LeaseService.leaseGrant, API.LeaseGrantRequest(ttl: 3600, id: 7),
      API.LeaseGrantResponse.self)
    try await client.fill(0..<keys, perTransaction: 100, parallel: 8, value: "v", lease: 7)
    async let revoked = Self.unlessTooLate {
      try await client.call(
        API.LeaseService.leaseRevoke, API.LeaseRevokeRequest(id: 7), API.LeaseRevokeResponse.self,
        timeout: .seconds(120))
    }
    var longest = 0.0
    let begin = now()
    repeat {
      let start = now()
      _ = try await Self.unlessTooLate { try await client.revision() }
      longest = Swift.max(longest, now() - start)
      try await Task.sleep(for: .milliseconds(2))
    } while now() - begin < 1 || longest > now() - begin - 0.5
    let isRevoked = try await revoked != nil
    var left: Int?
    repeat {
      left = try await Self.unlessTooLate { try await client.keyCount() }
    } while left != 0 && !isRevoked && now() - begin < 120
    guard left == 0 else { throw BenchError("\(left ?? keys) keys outlived their lease") }
    results.add(
      ResultLine(
        "Longest linearizable read beside a revocation of \(keys) keys, \(members) "
          + "member\(members == 1 ? "" : "s")", .milliseconds, .most(0.5, .milliseconds)),
      server, longest)
    cluster.stop()
  }

  /// What a call returns; `nil` when the server gave it up, which takes as long as it takes.
  private static func unlessTooLate<T>(_ call: () async throws -> T) async throws -> T? {
    do { return try await call() } catch let status as GRPCStatus where status.code == .unavailable
    {
      return nil
    }
  }

  private func leases(_ server: Server) async throws {
    let cluster = try await cluster(server)
    let port = cluster.members[0].port
    let count = scaled(10_000)
    let seconds = options.seconds
    let (granted, renewed, revoked) = try await onThread {
      let granted = try Self.unary(API.LeaseService.leaseGrant.path, port, count) {
        API.LeaseGrantRequest(ttl: 3600, id: Int64($0 + 1)).encoded()
      }
      let renewed = try Self.keepAlive(count, port: port, seconds: seconds)
      let revoked = try Self.unary(API.LeaseService.leaseRevoke.path, port, count) {
        API.LeaseRevokeRequest(id: Int64($0 + 1)).encoded()
      }
      return (granted, renewed, revoked)
    }
    results.add(ResultLine("Leases granted", .perSecond, .times(3)), server, granted)
    results.add(
      ResultLine("Renewals of \(count) leases", .perSecond, .times(3)), server, renewed)
    results.add(ResultLine("Leases revoked", .perSecond, .times(3)), server, revoked)
    cluster.stop()
  }

  /// Requests that differ, 250 at a time on one connection. - Returns: requests a second.
  private static func unary(
    _ path: String, _ port: Int, _ count: Int, _ message: (Int) -> Bytes
  ) throws -> Double {
    let connection = try RawConnection(port: port, path: path)
    let begin = now()
    for start in stride(from: 0, to: count, by: 250) {
      let end = Swift.min(start + 250, count)
      try connection.send((start..<end).map(message))
      try connection.receive(until: end)
    }
    return Double(count) / (now() - begin)
  }

  /// Renewals in turn on ten streams, a hundred ahead of the answers. - Returns: renewals a second.
  private static func keepAlive(_ count: Int, port: Int, seconds: Double) throws -> Double {
    let connection = try RawConnection(port: port, path: API.LeaseService.leaseKeepAlive.path)
    var counter = MessageCounter()
    connection.onData { counter.feed($0, $1) }
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 64 << 10, alignment: 16)
    defer { buffer.deallocate() }
    func renewal(_ number: Int) -> Bytes {
      API.LeaseKeepAliveRequest(id: Int64(number % count + 1)).encoded()
    }
    let begin = now()
    let streams = try (0..<10).map { try connection.open(renewal($0)) }
    var sent = streams.count
    while now() < begin + seconds {
      while counter.messages < sent { try connection.readOnce(into: buffer) }
      for stream in streams {
        try connection.send((0..<100).map { renewal(sent + $0) }, on: stream)
        sent += 100
      }
    }
    while counter.messages < sent { try connection.readOnce(into: buffer) }
    return Double(sent) / (now() - begin)
  }
}
