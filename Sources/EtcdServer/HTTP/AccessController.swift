import EtcdConfig
import EventLoops
import GoText
import HTTP

/// What a client listener does with a plain HTTP request before anything else: hosts that are not
/// listed are refused, so that a page in a browser cannot reach a member by a name of its own, and
/// pages of listed origins may read the answers.
///
/// - Source: etcd `embed.accessController`, `etcdserver.AccessController`.
struct AccessController: Sendable {
  private let hosts: Set<String>
  private let origins: OriginPolicy
  /// Whether a request comes from a client whose certificate names a user, which counts for nothing through
  /// the gateway.
  private let ignoresCertificate: @Sendable (HTTPExchange) -> Bool
  private let logger: Logger

  /// - Parameters:
  ///   - hosts: names without ports; `*` allows all.
  ///   - origins: URLs; `*` allows all.
  ///   - ignoresCertificate: asked for requests over TLS.
  init(
    hosts: [String], origins: [String], logger: Logger,
    ignoresCertificate: @escaping @Sendable (HTTPExchange) -> Bool
  ) {
    self.ignoresCertificate = ignoresCertificate
    self.hosts = Set(hosts)
    self.origins = OriginPolicy(origins)
    self.logger = logger
  }

  /// Whether a request may go on; else it is answered.
  func admits(_ exchange: HTTPExchange) -> Bool {
    guard exchange.channel?.isSecure != true else { return admitsSecure(exchange) }
    let host = Self.host(exchange.request)
    guard hosts.isEmpty || hosts.contains("*") || hosts.contains(host) else {
      logger.warn(
        "rejecting HTTP request to prevent DNS rebinding attacks",
        [LogField("host", .string(LogText.shortened(host)))])
      exchange.refuse(421, Self.refusal(host))
      return false
    }
    return origins.admits(exchange)
  }

  private func admitsSecure(_ exchange: HTTPExchange) -> Bool {
    guard ignoresCertificate(exchange) else { return origins.admits(exchange) }
    exchange.refuse(
      400,
      "CommonName of client sending a request against gateway will be ignored and not used as"
        + " expected")
    return false
  }

  /// The host that a request is for, without its port.
  static func host(_ request: HTTPRequestHead) -> String {
    let given = request.authority ?? request.headers["host"] ?? ""
    return HostPort(given)?.host ?? given
  }

  private static func refusal(_ host: String) -> String {
    """

    etcd received your request, but the Host header was unrecognized.

    To fix this, choose one of the following options:
    - Enable TLS, then any HTTPS request will be allowed.
    - Add the hostname you want to use to the whitelist in settings.
      - e.g. etcd --host-whitelist \(GoQuote.text(host))

    This requirement has been added to help prevent "DNS Rebinding" attacks (CVE-2018-5702).

    """
  }
}

extension HTTPRequestHead {
  /// The authority of an absolute target, which counts more than the `Host` field; `nil` for a path.
  var authority: String? {
    guard !target.hasPrefix("/") else { return nil }
    let parts = target.split(separator: "/", maxSplits: 2, omittingEmptySubsequences: false)
    guard parts.count == 3, parts[0].hasSuffix(":"), parts[1].isEmpty else { return nil }
    return String(parts[2].prefix { $0 != "/" && $0 != "?" })
  }
}
