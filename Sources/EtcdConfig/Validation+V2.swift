/// What goes together with the v2 API.
extension Validation {
  /// - Source: etcd 3.5 `embed.(*Etcd).serveClients`.
  func checkV2() throws(ConfigFailure) {
    let server = settings.server
    guard server.enableV2 else { return }
    // Without the API etcd 3.5 takes the flag and does nothing, too.
    guard settings.v2v3Prefix.isEmpty else {
      throw ConfigFailure(
        "--experimental-enable-v2v3 is not supported: etcd gave it up in 3.6; take the keys over with"
          + " \"etcdctl migrate\" while the member is stopped, and use the v3 API, or serve the v2 API with"
          + " --enable-v2 alone")
    }
    guard server.v2Deprecation >= .writeOnly else { return }
    throw ConfigFailure(
      "--enable-v2 and --v2-deprecation=\(server.v2Deprecation.rawValue) are mutually exclusive")
  }
}
