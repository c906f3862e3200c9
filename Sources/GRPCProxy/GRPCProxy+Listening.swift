import EventLoops
import GoText
import HTTP
import Proxies

/// Where a proxy listens.
extension GRPCProxy {
  func listen() throws(GRPCProxyRefusal) {
    guard let address = HostPort(options.listenAddress),
      let port = UInt16(address.port.isEmpty ? "0" : address.port)
    else {
      throw GRPCProxyRefusal(
        "listen tcp: address \(options.listenAddress): missing or invalid port; write --listen-addr "
          + "as HOST:PORT, as in 127.0.0.1:23790")
    }
    listeners.append(
      try bind(
        .tcp(host: address.host, port: Int(port)), policies.policy(checksNames: false), address
      ) { front, channel, connections in front.serve(channel, connections) })
    logger.info(
      "listening for gRPC proxy client requests",
      [LogField("address", .string(options.listenAddress))])
  }

  func listenForMetrics() throws(GRPCProxyRefusal) {
    guard !options.metricsAddress.isEmpty else { return }
    guard let url = try? GoURL(options.metricsAddress) else {
      throw GRPCProxyRefusal("cannot parse \(GoQuote.text(options.metricsAddress))")
    }
    let isUnix = url.scheme.hasPrefix("unix")
    let address = HostPort(url.host)
    guard isUnix || address.flatMap({ UInt16($0.port) }) != nil else {
      throw GRPCProxyRefusal(
        "listen tcp: address \(url.host): missing or invalid port; write --metrics-addr as "
          + "http://HOST:PORT")
    }
    if url.scheme == "https", policies.listening == nil {
      throw GRPCProxyRefusal(
        "cannot listen on TLS for \(url.host): KeyFile and CertFile are not presented")
    }
    let endpoint: Listener.Endpoint =
      isUnix
      ? .unix(path: url.host + url.path)
      : .tcp(host: address?.host ?? "", port: address.flatMap { Int($0.port) } ?? 0)
    listeners.append(
      try bind(
        endpoint, url.scheme == "https" ? policies.policy(checksNames: true) : .plain,
        address ?? HostPort(":0")!
      ) { front, channel, connections in front.servePages(channel, connections) })
    logger.info(
      "gRPC proxy listening for metrics",
      [LogField("address", .string(options.metricsAddress))])
  }

  private func bind(
    _ endpoint: Listener.Endpoint, _ policy: ChannelPolicy, _ address: HostPort,
    _ serve: @escaping @Sendable (ProxyFront, any ByteChannel, HTTPConnections) -> Void
  ) throws(GRPCProxyRefusal) -> Listener {
    let (loops, admission, connections) = (loops, admission, connections)
    do throws(ChannelError) {
      return try loops[0].run { () throws(ChannelError) in
        try Listener(
          loop: loops[0], endpoint: endpoint, policy: policy, targets: loops, isPaused: true,
          admission: admission
        ) { [weak self] channel in
          guard let front = self?.front(on: channel.loop) else { return channel.abort() }
          serve(front, channel, connections)
        }
      }
    } catch { throw GRPCProxyRefusal(Gateway.words(error, address)) }
  }
}
