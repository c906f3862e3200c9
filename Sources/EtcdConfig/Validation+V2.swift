/// What goes together with the v2 API.
extension Validation {
  /// - Source: etcd 3.5 `embed.(*Etcd).serveClients`.
  func checkV2() throws(ConfigFailure) {
    let server = settings.server
    guard server.enableV2, server.v2Deprecation >= .writeOnly else { return }
    throw ConfigFailure(
      "--enable-v2 and --v2-deprecation=\(server.v2Deprecation.rawValue) are mutually exclusive")
  }
}
