import Bytes
import Calls
import EtcdAPI
import EventLoops
import GRPC
import HTTP
import Protobuf
import Synchronization

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

extension CallRouter {
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
