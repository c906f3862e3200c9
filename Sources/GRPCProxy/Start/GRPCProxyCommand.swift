import CommandLineTool
import GoText
import Proxies

/// The command lines of `etcd grpc-proxy`.
///
/// - Source: etcd `etcdmain/grpc_proxy.go`, of 3.5.30 and 3.6.
package enum GRPCProxyCommand {
  /// What the program's first word has to be.
  package static let name = "grpc-proxy"

  /// `etcd` as far as it is made of commands of this one.
  /// - Parameter start: runs a proxy; its exit code.
  package static func tool(
    _ start: @escaping @Sendable (GRPCProxyOptions, Console) -> Int32
  ) -> Tool {
    var proxy = Command("grpc-proxy <subcommand>", short: "grpc-proxy related command")
    var command = Command("start", short: "start the grpc proxy")
    command.flags = flags
    command.run = { (invocation) throws(CommandFailure) in
      let code = start(options(invocation), invocation.console)
      if code != 0 { throw .told(exitCode: code) }
    }
    proxy.commands = [command]
    return .proxy(proxy)
  }

  private static let flags =
    cluster + addresses + serving + limits + memberTLS + clientTLS + others

  /// Of all flags, without dashes.
  static var flagNames: [String] { flags.map(\.name) }

  private static let cluster = [
    CommandFlag(
      "discovery-srv", .string,
      "domain name to query for SRV records describing cluster endpoints"),
    CommandFlag("discovery-srv-name", .string, "service name to query when using DNS discovery"),
    CommandFlag("insecure-discovery", .bool, "accept insecure SRV records"),
    CommandFlag(
      "endpoints", .strings, default: "127.0.0.1:2379", "comma separated etcd cluster endpoints"),
    CommandFlag(
      "endpoints-auto-sync-interval", .duration,
      "etcd endpoints auto sync interval (disabled by default)"),
  ]

  private static let addresses = [
    CommandFlag("listen-addr", .string, default: "127.0.0.1:23790", "listen address"),
    CommandFlag(
      "metrics-addr", .string,
      "listen for endpoint /metrics requests on an additional interface"),
    CommandFlag(
      "advertise-client-url", .string, default: "127.0.0.1:23790",
      "advertise address to register (must be reachable by client)"),
    CommandFlag(
      "resolver-prefix", .string,
      "prefix to use for registering proxy (must be shared with other grpc-proxy members)"),
    CommandFlag(
      "resolver-ttl", .signed, "specify TTL, in seconds, when registering proxy endpoints"),
  ]

  private static let serving = [
    CommandFlag(
      "namespace", .string, "string to prefix to all keys for namespacing requests"),
    CommandFlag(
      "enable-pprof", .bool,
      "Enable runtime profiling data via HTTP server. Address is at client URL + \"/debug/pprof/\""),
    CommandFlag(
      "data-dir", .string, default: "default.proxy", "Data directory for persistent data"),
  ]

  private static let limits = [
    CommandFlag(
      "max-send-bytes", .signed, default: "1572864",
      "message send limits in bytes (default value is 1.5 MiB)"),
    CommandFlag(
      "max-recv-bytes", .signed, default: "2147483647",
      "message receive limits in bytes (default value is math.MaxInt32)"),
    CommandFlag(
      "dial-keepalive-time", .duration,
      "keepalive time for client(grpc-proxy) connections (default 0, disable)."),
    CommandFlag(
      "dial-keepalive-timeout", .duration, default: "20s",
      "keepalive timeout for client(grpc-proxy) connections (default 20s)."),
    CommandFlag(
      "permit-without-stream", .bool,
      "Enable client(grpc-proxy) to send keepalive pings even with no active RPCs."),
    CommandFlag(
      "grpc-keepalive-min-time", .duration, default: "5s",
      "Minimum interval duration that a client should wait before pinging proxy."),
    CommandFlag(
      "grpc-keepalive-interval", .duration, default: "2h0m0s",
      "Frequency duration of server-to-client ping to check if a connection is alive (0 to disable)."
    ),
    CommandFlag(
      "grpc-keepalive-timeout", .duration, default: "20s",
      "Additional duration of wait before closing a non-responsive connection (0 to disable)."),
    CommandFlag(
      "max-concurrent-streams", .unsigned32, default: "4294967295",
      "Maximum concurrent streams that each client can open at a time."),
  ]

  private static let memberTLS = [
    CommandFlag(
      "cert", .string,
      "identify secure connections with etcd servers using this TLS certificate file"
    ),
    CommandFlag(
      "key", .string, "identify secure connections with etcd servers using this TLS key file"),
    CommandFlag(
      "cacert", .string,
      "verify certificates of TLS-enabled secure etcd servers using this CA bundle"
    ),
    CommandFlag(
      "insecure-skip-tls-verify", .bool,
      "skip authentication of etcd server TLS certificates (CAUTION: this option should be enabled"
        + " only for testing purposes)"),
  ]

  private static let clientTLS = [
    CommandFlag(
      "cert-file", .string,
      "identify secure connections to the proxy using this TLS certificate file"),
    CommandFlag(
      "key-file", .string, "identify secure connections to the proxy using this TLS key file"),
    CommandFlag(
      "trusted-ca-file", .string,
      "verify certificates of TLS-enabled secure proxy using this CA bundle"),
    CommandFlag(
      "listen-cipher-suites", .strings,
      "Comma-separated list of supported TLS cipher suites between client/proxy (empty will be"
        + " auto-populated by Go)."),
    CommandFlag("auto-tls", .bool, "proxy TLS using generated certificates"),
    CommandFlag(
      "client-crl-file", .string, "proxy client certificate revocation list file."),
    CommandFlag(
      "self-signed-cert-validity", .unsigned, default: "1",
      "The validity period of the proxy certificates, unit is year"),
    CommandFlag(
      "tls-min-version", .string, default: "TLS1.2",
      "Minimum TLS version supported by grpc proxy. Possible values: TLS1.2, TLS1.3."),
    CommandFlag(
      "tls-max-version", .string,
      "Maximum TLS version supported by grpc proxy. Possible values: TLS1.2, TLS1.3 (empty defers"
        + " to Go)."),
  ]

  private static let others = [
    CommandFlag(
      "experimental-serializable-ordering", .bool,
      "Ensure serializable reads have monotonically increasing store revisions across endpoints."),
    CommandFlag(
      "experimental-leasing-prefix", .string,
      "leasing metadata prefix for disconnected linearized reads."),
    CommandFlag(
      "experimental-enable-grpc-logging", .bool, "logging all grpc requests and responses"),
    CommandFlag("debug", .bool, "Enable debug-level logging for grpc-proxy."),
  ]
}
