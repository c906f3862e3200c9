import Bytes
import Calls
import EventLoops
import GRPC
import HTTP

/// What serves the connections of one loop.
final class ProxyFront: Sendable {
  let loop: EventLoop
  let upstream: Upstream
  let grpc: GRPCServer
  let pages: ProxyPages
  private let router: HTTPRouter

  init(
    _ upstream: Upstream, _ services: CallRouter, _ configuration: GRPCServerConfiguration,
    _ pages: ProxyPages, hasProfiles: Bool
  ) {
    loop = upstream.loop
    self.upstream = upstream
    self.pages = pages
    grpc = GRPCServer(services, configuration)
    router = pages.router(hasProfiles: hasProfiles)
  }

  /// Serves a connection of clients, whichever protocol it speaks.
  func serve(_ channel: any ByteChannel, _ connections: HTTPConnections) {
    ProtocolSniffer.begin(on: channel) { [grpc, router] isHTTP2, initial in
      if isHTTP2 { return grpc.accept(channel, initial: initial) }
      connections.serve(channel, initial: initial) { router.handle($0) }
    }
    channel.start()
  }

  /// Serves a connection of those who read metrics.
  func servePages(_ channel: any ByteChannel, _ connections: HTTPConnections) {
    connections.serve(channel) { [router] in router.handle($0) }
    channel.start()
  }
}
