import Bytes
import EtcdAPI
import GRPC
import HTTP
import Protobuf
import Runtime
import Synchronization

/// Serves `router` on a free port.
func serve(_ loop: EventLoop, _ router: GRPCRouter) throws -> (listener: Listener, name: String) {
  let server = GRPCServer(router)
  let listener = try Listener(loop: loop, endpoint: .tcp(host: "127.0.0.1", port: 0)) {
    connection in
    _ = ProtocolSniffer(channel: connection) { _, initial in
      server.accept(connection, initial: initial)
    }
    connection.start()
  }
  return (listener, "127.0.0.1:\(listener.address.port!)")
}

/// What a server saw.
final class Tally: Sendable {
  private let counts = Mutex<[String: Int]>([:])

  @discardableResult
  func count(_ name: String) -> Int {
    counts.withLock { counts in
      counts[name, default: 0] += 1
      return counts[name, default: 0]
    }
  }

  subscript(name: String) -> Int { counts.withLock { $0[name] ?? 0 } }
}

extension GRPCRouter {
  /// Puts that take one token only, and logins that give out `t1`, `t2` and so on.
  mutating func addLogins(valid: @escaping @Sendable () -> String, _ tally: Tally) {
    unary(Etcdserverpb.AuthService.authenticate.path) { call, _ in
      let number = tally.count("login")
      call.respond(.bytes(Etcdserverpb.AuthenticateResponse(token: "t\(number)").encoded()))
    }
    unary(Etcdserverpb.KVService.put.path) { call, _ in
      if call.metadata["token"] == valid() {
        tally.count("put")
        call.respond(.bytes(Bytes()))
      } else {
        tally.count("refused")
        call.fail(GRPCStatus(.unauthenticated, "etcdserver: invalid auth token"))
      }
    }
  }
}
