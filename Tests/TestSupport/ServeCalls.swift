import Calls
import EventLoops
import GRPC
import HTTP

/// Serves `router` on a free port.
/// - Returns: the listener, which the caller closes, and its address.
public func serve(
  _ loop: EventLoop, _ router: CallRouter
) throws -> (listener: Listener, name: String) {
  let server = GRPCServer(router)
  let listener = try Listener(loop: loop, endpoint: .tcp(host: "127.0.0.1", port: 0)) {
    connection in
    ProtocolSniffer.begin(on: connection) { _, initial in
      server.accept(connection, initial: initial)
    }
    connection.start()
  }
  return (listener, "127.0.0.1:\(listener.address.port!)")
}
