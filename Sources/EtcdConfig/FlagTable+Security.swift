import GoText

extension FlagTable {
  static let security: [Flag] = clientTLS + peerTLS + commonTLS + access

  private static let clientTLS: [Flag] = [
    Flag(
      "cert-file", .security, .text, "", "Path to the client server TLS cert file.", .notYet),
    Flag("key-file", .security, .text, "", "Path to the client server TLS key file.", .notYet),
    Flag(
      "client-cert-file", .security, .text, "",
      "Path to an explicit client TLS cert file for when this member is the client.", .notYet),
    Flag(
      "client-key-file", .security, .text, "",
      "Path to an explicit client TLS key file for when this member is the client.", .notYet),
    Flag(
      "client-cert-auth", .security, .bool, "false", "Enable client cert authentication.",
      .notYet),
    Flag(
      "client-crl-file", .security, .text, "",
      "Path to the client certificate revocation list file.", .notYet),
    Flag(
      "client-cert-allowed-hostname", .security, .text, "",
      "Allowed TLS hostname for client cert authentication.", .notYet),
    Flag(
      "trusted-ca-file", .security, .text, "",
      "Path to the client server TLS trusted CA cert file.", .notYet),
    Flag(
      "auto-tls", .security, .bool, "false", "Client TLS using generated certificates.", .notYet),
  ]

  private static let peerTLS: [Flag] = [
    Flag(
      "peer-cert-file", .security, .text, "", "Path to the peer server TLS cert file.", .notYet),
    Flag(
      "peer-key-file", .security, .text, "", "Path to the peer server TLS key file.", .notYet),
    Flag(
      "peer-client-cert-file", .security, .text, "",
      "Path to an explicit peer client TLS cert file.", .notYet),
    Flag(
      "peer-client-key-file", .security, .text, "",
      "Path to an explicit peer client TLS key file.", .notYet),
    Flag(
      "peer-client-cert-auth", .security, .bool, "false",
      "Enable peer client cert authentication.", .notYet),
    Flag(
      "peer-trusted-ca-file", .security, .text, "",
      "Path to the peer server TLS trusted CA file.", .notYet),
    Flag(
      "peer-cert-allowed-cn", .security, .text, "",
      "Required CN for client certs connecting to the peer endpoint.", .notYet),
    Flag(
      "peer-cert-allowed-hostname", .security, .text, "",
      "Allowed TLS hostname for inter peer authentication.", .notYet),
    Flag(
      "peer-auto-tls", .security, .bool, "false",
      "Peer TLS using self-generated certificates if --peer-key-file and --peer-cert-file are not"
        + " provided.", .notYet),
    Flag(
      "peer-crl-file", .security, .text, "",
      "Path to the peer certificate revocation list file.", .notYet),
    Flag(
      "experimental-peer-skip-client-san-verification", .security, .bool, "false",
      "Skip verification of SAN field in client certificate for peer connections.", .notYet),
  ]

  private static let commonTLS: [Flag] = [
    Flag(
      "self-signed-cert-validity", .security, .unsigned, "1",
      "The validity period in years of generated certificates.", .notYet),
    Flag(
      "cipher-suites", .security, .text, "",
      "Comma-separated list of supported TLS cipher suites between client/server and peers.",
      .notYet),
    Flag(
      "tls-min-version", .security, .text, "TLS1.2", "Minimum TLS version supported by etcd.",
      .notYet),
    Flag(
      "tls-max-version", .security, .text, "", "Maximum TLS version supported by etcd.", .notYet),
  ]

  private static let access: [Flag] = [
    Flag(
      "cors", .security, .urls(exceptions: ["*"]), "*",
      "Comma-separated whitelist of origins for CORS, or cross-origin resource sharing, (empty or"
        + " * means allow all)."
    ) { $0.server.corsOrigins = $1.uniqueURLs?.map(\.description) ?? ["*"] },
    Flag(
      "host-whitelist", .security, .words, "*",
      "Acceptable hostnames from HTTP client requests, if server is not secure (empty or * means"
        + " allow all)."
    ) { $0.server.hostWhitelist = $1.words == [""] ? ["*"] : $1.words },
  ]

  static let auth: [Flag] = [
    Flag(
      "auth-token", .auth, .text, "simple",
      "Specify a v3 authentication token type and its options ('simple' or 'jwt')."
    ) { $0.server.authToken = $1.text },
    Flag(
      "bcrypt-cost", .auth, .unsigned, "10",
      "Specify the cost / strength of the bcrypt algorithm for hashing auth passwords. Valid"
        + " values are between 4 and 31."
    ) {
      let isValid = $1.unsigned >= 4 && $1.unsigned <= 31
      $0.server.bcryptCost = isValid ? $1.int : 10
      if !isValid {
        $0.notices.append(
          Notice(
            .warn, "use default bcrypt cost instead of the invalid given cost",
            ("min-cost", "4"), ("max-cost", "31"), ("default-cost", "10"),
            ("given-cost", "\($1.unsigned)")))
      }
    },
    Flag(
      "auth-token-ttl", .auth, .unsigned, "300", "Time (in seconds) of the auth-token-ttl."
    ) { $0.server.authTokenTTL = $1.unsigned == 0 ? 300 : $1.int },
  ]
}
