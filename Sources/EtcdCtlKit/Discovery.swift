import CommandLineTool
import DNS
import GoText

/// Endpoints that the DNS names, as `--discovery-srv` asks for them.
///
/// - Source: etcd `etcdctl/ctlv3/command/global.go`, `etcdctl/ctlv2/command/util.go`.
struct Discovery {
  /// Empty when the DNS is not to be asked.
  let domain: String
  let suffix: String
  /// Whether endpoints without TLS are taken.
  let isInsecure: Bool

  /// What members' certificates must be valid for: who answers for the DNS cannot name another. Empty for the host of
  /// the endpoint.
  var serverName: String { isInsecure ? "" : domain }

  /// Empty when none is left.
  func endpoints(
    _ lookup: ServiceLookup, _ console: Console
  ) throws(ClientLookupFailure) -> [String] {
    guard !domain.isEmpty else { return [] }
    let urls = try ClientEndpoints(domain: domain, suffix: suffix, lookup: lookup).urls
    guard !isInsecure else { return urls }
    return urls.filter { url in
      if url.hasPrefix("https://") { return true }
      console.printError("ignoring discovered insecure endpoint \(GoQuote.text(url))\n")
      return false
    }
  }
}
