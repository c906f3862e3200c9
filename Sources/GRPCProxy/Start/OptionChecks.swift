import GoText

extension GRPCProxyOptions {
  /// Looks whether the flags go together, in etcd's order.
  /// - Source: etcd `etcdmain.checkArgs`; `clientv3.New` for the limits of messages.
  func check() throws(GRPCProxyRefusal) {
    let registers = !resolverPrefix.isEmpty
    if registers, resolverTTL < 1 {
      throw GRPCProxyRefusal("invalid resolver-ttl \(resolverTTL)")
    }
    if !registers, resolverTTL > 0 {
      throw GRPCProxyRefusal("invalid resolver-prefix \(GoQuote.text(resolverPrefix))")
    }
    if registers, advertiseClientURL.isEmpty {
      throw GRPCProxyRefusal("invalid advertise-client-url \(GoQuote.text(advertiseClientURL))")
    }
    if isAutomaticTLS, selfSignedValidity == 0 {
      throw GRPCProxyRefusal("selfSignedCertValidity is invalid,it should be greater than 0")
    }
    try checkVersions()
    if receivedBytesMax > 0, sentBytesMax > receivedBytesMax {
      throw GRPCProxyRefusal(
        "gRPC message recv limit (\(receivedBytesMax) bytes) must be greater than send limit "
          + "(\(sentBytesMax) bytes)")
    }
    if endpoints.isEmpty, discoveryDomain.isEmpty {
      throw GRPCProxyRefusal("etcdclient: no available endpoints")
    }
    for (flag, time) in [
      ("endpoints-auto-sync-interval", autoSyncInterval),
      ("dial-keepalive-time", dialKeepaliveTime),
      ("dial-keepalive-timeout", dialKeepaliveTimeout),
      ("grpc-keepalive-min-time", keepaliveMinTime),
      ("grpc-keepalive-interval", keepaliveInterval),
      ("grpc-keepalive-timeout", keepaliveTimeout),
    ] where time < .zero {
      throw GRPCProxyRefusal(
        "--\(flag) is negative: \(time.goDescription); write a time such as 10s, or 0")
    }
  }

  private static let versions = ["", "TLS1.2", "TLS1.3"]

  private func checkVersions() throws(GRPCProxyRefusal) {
    for (flag, version) in [("min", leastTLSVersion), ("max", mostTLSVersion)]
    where !Self.versions.contains(version) {
      throw GRPCProxyRefusal(
        "tls-\(flag)-version is invalid: unexpected TLS version \(GoQuote.text(version)) "
          + "(must be one of: TLS1.2, TLS1.3)")
    }
    // As texts they are in the order of the versions.
    if !mostTLSVersion.isEmpty, leastTLSVersion > mostTLSVersion {
      throw GRPCProxyRefusal(
        "min version (\(leastTLSVersion)) is greater than max version (\(mostTLSVersion))")
    }
    if leastTLSVersion == "TLS1.3", !listenCipherSuites.isEmpty {
      throw GRPCProxyRefusal("cipher suites cannot be configured when only TLS1.3 is enabled")
    }
  }
}
