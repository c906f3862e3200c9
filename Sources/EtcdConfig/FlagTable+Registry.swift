extension FlagTable {
  /// - Source: etcd 3.6 `embed.Config.AddFlags`.
  static let registry: [Flag] = [
    Flag(
      "discovery-endpoints", .clustering, .words, "",
      "V3 discovery: List of gRPC endpoints of the discovery service."
    ) { $0.server.registry.endpoints = $1.names },
    Flag(
      "discovery-token", .clustering, .text, "",
      "V3 discovery: discovery token for the etcd cluster to be bootstrapped."
    ) { $0.server.registry.token = $1.text },
    Flag(
      "discovery-dial-timeout", .clustering, .duration, "2s",
      "V3 discovery: dial timeout for client connections."
    ) { $0.server.registry.dialTimeout = $1.time },
    Flag(
      "discovery-request-timeout", .clustering, .duration, "5s",
      "V3 discovery: timeout for discovery requests (excluding dial timeout)."
    ) { $0.server.registry.requestTimeout = $1.time },
    Flag(
      "discovery-keepalive-time", .clustering, .duration, "2s",
      "V3 discovery: keepalive time for client connections."
    ) { $0.server.registry.keepaliveTime = $1.time },
    Flag(
      "discovery-keepalive-timeout", .clustering, .duration, "6s",
      "V3 discovery: keepalive timeout for client connections."
    ) { $0.server.registry.keepaliveTimeout = $1.time },
    Flag(
      "discovery-insecure-transport", .clustering, .bool, "true",
      "V3 discovery: disable transport security for client connections."
    ) { $0.server.registry.isTransportInsecure = $1.bool },
    Flag(
      "discovery-insecure-skip-tls-verify", .clustering, .bool, "false",
      "V3 discovery: skip server certificate verification (CAUTION: this option should be enabled"
        + " only for testing purposes)."
    ) { $0.server.registry.skipsVerification = $1.bool },
    Flag(
      "discovery-cert", .clustering, .text, "",
      "V3 discovery: identify secure client using this TLS certificate file."
    ) { $0.server.registry.certificateFile = $1.text },
    Flag(
      "discovery-key", .clustering, .text, "",
      "V3 discovery: identify secure client using this TLS key file."
    ) { $0.server.registry.keyFile = $1.text },
    Flag(
      "discovery-cacert", .clustering, .text, "",
      "V3 discovery: verify certificates of TLS-enabled secure servers using this CA bundle."
    ) { $0.server.registry.trustedCAFile = $1.text },
    Flag(
      "discovery-server-name", .clustering, .text, "",
      "V3 discovery: name that certificates of secure servers must have, instead of their host. Not in"
        + " Go etcd, which has it in its configuration file alone."
    ) { $0.server.registry.serverName = $1.text },
    Flag(
      "discovery-user", .clustering, .text, "",
      "V3 discovery: username[:password] for authentication."
    ) { $0.server.registry.user = $1.text },
    Flag(
      "discovery-password", .clustering, .text, "",
      "V3 discovery: password for authentication (if this option is used, --discovery-user option"
        + " shouldn't include password)."
    ) { $0.server.registry.password = $1.text },
  ]
}
