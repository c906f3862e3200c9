import EtcdClient
import Foundation

/// Services that announce themselves and find each other: an address is there as long as its process is.
///
///     service-registry http://127.0.0.1:2379 announce web 10.0.0.7:80
///     service-registry http://127.0.0.1:2379 follow web
@main struct ServiceRegistry {
  static func main() async throws {
    let words = CommandLine.arguments
    guard words.count >= 4 else {
      fatalError("service-registry ENDPOINT announce NAME ADDRESS | follow NAME")
    }
    let client = try EtcdClient(endpoints: [words[1]])
    let services = client.namespace(Bytes("services/\(words[3])/"))
    switch (words[2], words.count) {
    case ("announce", 5): try await announce(words[4], services)
    case ("follow", 4): try await follow(services)
    default: fatalError("service-registry ENDPOINT announce NAME ADDRESS | follow NAME")
    }
  }

  static func announce(_ address: String, _ services: EtcdClient) async throws {
    // The key ends with the session: at once when this ends by itself, after ten seconds when it dies.
    try await services.withSession(ttl: 10) { session in
      try await services.kv.put(Bytes(address), "up", lease: session.lease)
      say("announced \(address)")
      // Here a service would serve. When the lease is lost this task is cancelled.
      try await Task.sleep(for: .seconds(1_000_000))
    }
  }

  static func follow(_ services: EtcdClient) async throws {
    let now = try await services.kv.get(.all)
    for pair in now.kvs { say("up \(pair.key.string)") }
    let options = WatchOptions(startRevision: (now.header?.revision ?? 0) + 1)
    for try await update in services.watch(.all, options) {
      for event in update.events {
        say("\(event.type == .put ? "up" : "down") \(event.kv?.key.string ?? "")")
      }
    }
  }
}

/// Prints a line at once, also into a pipe.
func say(_ line: String) {
  print(line)
  fflush(nil)
}
