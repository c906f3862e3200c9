import Testing

/// A command line that cannot run, with what etcd 3.5 answers.
struct BadCommandLine: Sendable, CustomTestStringConvertible {
  let arguments: [String]
  var environment: [String: String] = [:]
  /// The message without its place in a log line.
  let message: String
  let exitCode: Int32
  /// Whether the message comes with the usage; else it is an error in the log.
  var isUsage: Bool { exitCode == 2 }
  /// Whether etcd notices only when it sets up the cluster, after opening its sockets.
  var atBootstrap = false

  var testDescription: String { arguments.joined(separator: " ") }

  private init(
    _ arguments: String, _ message: String, exitCode: Int32, environment: [String: String] = [:],
    atBootstrap: Bool = false
  ) {
    self.arguments = arguments.split(separator: " ").map { $0 == "''" ? "" : String($0) }
    self.message = message
    self.exitCode = exitCode
    self.environment = environment
    self.atBootstrap = atBootstrap
  }

  private static func syntax(_ arguments: String, _ message: String) -> BadCommandLine {
    BadCommandLine(arguments, message, exitCode: 2)
  }
  private static func refused(
    _ arguments: String, _ message: String, _ environment: [String: String] = [:]
  ) -> BadCommandLine {
    BadCommandLine(arguments, message, exitCode: 1, environment: environment)
  }
  private static func cluster(_ arguments: String, _ message: String) -> BadCommandLine {
    BadCommandLine(arguments, message, exitCode: 1, atBootstrap: true)
  }

  static let all = syntaxErrors + valueErrors + urlErrors + ruleErrors + clusterErrors

  private static let syntaxErrors: [BadCommandLine] = [
    syntax("--bogus", "flag provided but not defined: -bogus"),
    syntax("-bogus=1", "flag provided but not defined: -bogus"),
    syntax("--name a --bogus --also-bad", "flag provided but not defined: -bogus"),
    syntax("--name", "flag needs an argument: -name"),
    syntax("--=x", "bad flag syntax: --=x"),
    syntax("---x", "bad flag syntax: ---x"),
    syntax("-=x", "bad flag syntax: -=x"),
    refused("foo", "'foo' is not a valid flag"),
    refused("-", "'-' is not a valid flag"),
    refused("--pre-vote maybe", "'maybe' is not a valid flag"),
    refused("-- --name a", "'--name' is not a valid flag"),
    refused("--name a b --bogus", "'b' is not a valid flag"),
    refused("--version now", "'now' is not a valid flag"),
  ]

  private static let valueErrors: [BadCommandLine] = [
    syntax("-snapshot-count=x", "invalid value \"x\" for flag -snapshot-count: parse error"),
    syntax("--snapshot-count ''", "invalid value \"\" for flag -snapshot-count: parse error"),
    syntax("--snapshot-count 1__0", "invalid value \"1__0\" for flag -snapshot-count: parse error"),
    syntax("--snapshot-count 08", "invalid value \"08\" for flag -snapshot-count: parse error"),
    syntax(
      "--heartbeat-interval -1", "invalid value \"-1\" for flag -heartbeat-interval: parse error"),
    syntax(
      "--max-wals 0x1ffffffffffffffff",
      "invalid value \"0x1ffffffffffffffff\" for flag -max-wals: value out of range"),
    syntax(
      "--quota-backend-bytes 9223372036854775808",
      "invalid value \"9223372036854775808\" for flag -quota-backend-bytes: value out of range"),
    syntax(
      "--quota-backend-bytes 1.5",
      "invalid value \"1.5\" for flag -quota-backend-bytes: parse error"),
    syntax("--pre-vote=maybe", "invalid boolean value \"maybe\" for -pre-vote: parse error"),
    syntax("--pre-vote=", "invalid boolean value \"\" for -pre-vote: parse error"),
    syntax("--pre-vote=yes", "invalid boolean value \"yes\" for -pre-vote: parse error"),
    syntax(
      "--grpc-keepalive-min-time 5",
      "invalid value \"5\" for flag -grpc-keepalive-min-time: parse error"),
    syntax(
      "--grpc-keepalive-timeout 5y",
      "invalid value \"5y\" for flag -grpc-keepalive-timeout: parse error"),
    syntax(
      "--initial-cluster-state foo",
      "invalid value \"foo\" for flag -initial-cluster-state: invalid value"),
    syntax("--proxy \"\\", "invalid value \"\\\"\\\\\" for flag -proxy: invalid value"),
    syntax(
      "--v2-deprecation never",
      "invalid value \"never\" for flag -v2-deprecation: invalid value \"never\""),
    refused(
      "--name a", "invalid value \"x\" for ETCD_SNAPSHOT_COUNT: parse error",
      ["ETCD_SNAPSHOT_COUNT": "x"]),
    refused(
      "--name a", "invalid value \"2\" for ETCD_PRE_VOTE: parse error", ["ETCD_PRE_VOTE": "2"]),
    refused(
      "--name a",
      "invalid value \"ftp://a:1\" for ETCD_LISTEN_PEER_URLS: URL scheme must be http, https,"
        + " unix, or unixs: ftp://a:1", ["ETCD_LISTEN_PEER_URLS": "ftp://a:1"]),
  ]

  private static func url(_ text: String, _ reason: String) -> BadCommandLine {
    syntax(
      "--advertise-client-urls \(text)",
      "invalid value \"\(text)\" for flag -advertise-client-urls: \(reason)")
  }

  private static let urlErrors: [BadCommandLine] = [
    url("foo://x", "URL scheme must be http, https, unix, or unixs: foo://x"),
    url("localhost", "URL scheme must be http, https, unix, or unixs: localhost"),
    url("localhost:2379", "URL scheme must be http, https, unix, or unixs: localhost:2379"),
    url(
      "127.0.0.1:2379",
      "parse \"127.0.0.1:2379\": first path segment in URL cannot contain colon"),
    url("://a", "parse \"://a\": missing protocol scheme"),
    url("http://a", "URL address does not have the form \"host:port\": http://a"),
    url("http://", "URL address does not have the form \"host:port\": http://"),
    url("http:a:1", "URL address does not have the form \"host:port\": http:a:1"),
    url("http://a:b", "parse \"http://a:b\": invalid port \":b\" after host"),
    url("http://a:-1", "parse \"http://a:-1\": invalid port \":-1\" after host"),
    url("http://::1:2379", "URL address does not have the form \"host:port\": http://::1:2379"),
    url("http://[::1:2379", "parse \"http://[::1:2379\": missing ']' in host"),
    url("http://[::1]2379", "parse \"http://[::1]2379\": invalid port \"2379\" after host"),
    url("http://a:1/", "URL must not contain a path: http://a:1/"),
    url("http://a:1/x?y", "URL must not contain a path: http://a:1/x?y"),
    url("http://a:1,", "URL scheme must be http, https, unix, or unixs: "),
    url("http://a:1,b", "URL scheme must be http, https, unix, or unixs: b"),
    syntax(
      "--cors a",
      "invalid value \"a\" for flag -cors: URL scheme must be http, https, unix, or"
        + " unixs: a"),
    refused(
      "--listen-peer-urls http://foo:2380", "expected IP in URL for binding (http://foo:2380)"),
    refused(
      "--listen-metrics-urls http://:9090", "expected IP in URL for binding (http://:9090)"),
    refused(
      "--initial-advertise-peer-urls http://:2380",
      "--initial-advertise-peer-urls \"http://:2380\" must be \"host:port\" (unexpected empty host"
        + " (http://:2380))"),
    refused(
      "--advertise-client-urls http://b:1,http://:2",
      "--advertise-client-urls \"http://:2,http://b:1\" must be \"host:port\" (unexpected empty"
        + " host (http://:2))"),
  ]

  private static let ruleErrors: [BadCommandLine] = [
    refused("--heartbeat-interval 0", "--heartbeat-interval must be >0 (set to 0ms)"),
    refused("--election-timeout 0", "--election-timeout must be >0 (set to 0ms)"),
    refused(
      "--heartbeat-interval 500",
      "--election-timeout[1000ms] should be at least as 5 times as --heartbeat-interval[500ms]"),
    refused(
      "--heartbeat-interval 100 --election-timeout 499",
      "--election-timeout[499ms] should be at least as 5 times as --heartbeat-interval[100ms]"),
    refused(
      "--election-timeout 50001",
      "--election-timeout[50001ms] is too long, and should be set less than 50000ms"),
    refused(
      "--listen-client-urls http://127.0.0.1:2379",
      "--advertise-client-urls is required when --listen-client-urls is set explicitly"),
    refused(
      "--listen-client-urls ''",
      "--advertise-client-urls is required when --listen-client-urls is set explicitly"),
    refused(
      "--name a",
      "--advertise-client-urls is required when --listen-client-urls is set explicitly",
      ["ETCD_LISTEN_CLIENT_URLS": "http://127.0.0.1:2379"]),
    refused("--auto-compaction-mode never", "unknown auto-compaction-mode \"never\""),
    refused("--logger glog", "unknown logger option \"glog\""),
    refused("--logger capnslog", "--logger=capnslog is removed in v3.5"),
    refused(
      "--log-outputs stderr,default", "multi logoutput for \"default\" is not supported yet"),
  ]

  /// Every one listens on free ports, so that nothing else is in the way.
  private static let clusterErrors: [BadCommandLine] = [
    cluster(
      "--name x --initial-cluster y=http://localhost:2380",
      "couldn't find local name \"x\" in the initial cluster configuration"),
    cluster(
      "--initial-cluster default=http://localhost:2380,b=http://localhost:2380",
      "initial cluster b=http://localhost:2380,default=http://localhost:2380 has duplicate url"),
    cluster(
      "--initial-cluster default=http://localhost:9",
      "--initial-cluster has default=http://localhost:9 but missing from"
        + " --initial-advertise-peer-urls=http://localhost:2380 (\"http://localhost:2380\"(resolved"
        + " from \"http://localhost:2380\") != \"http://localhost:9\"(resolved from"
        + " \"http://localhost:9\"))"),
    cluster(
      "--initial-advertise-peer-urls http://127.0.0.1:9,http://localhost:2380",
      "--initial-advertise-peer-urls has http://127.0.0.1:9 but missing from"
        + " --initial-cluster=default=http://127.0.0.1:9,default=http://localhost:2380"),
    cluster(
      "--initial-cluster default",
      "error setting up initial cluster: URL scheme must be http, https, unix, or unixs: "),
    cluster(
      "--initial-cluster default=http://a",
      "error setting up initial cluster: URL address does not have the form \"host:port\":"
        + " http://a"),
    cluster(
      "--auto-compaction-retention x",
      "error parsing CompactionRetention: time: invalid duration \"x\""),
    cluster(
      "--auto-compaction-retention -1",
      "error parsing CompactionRetention: time: missing unit in duration \"-1\""),
    cluster(
      "--auto-compaction-retention 5y",
      "error parsing CompactionRetention: time: unknown unit \"y\" in duration \"5y\""),
    cluster(
      "--auto-compaction-retention 5 --auto-compaction-mode revision --initial-cluster-state"
        + " existing --initial-cluster a=http://localhost:2380",
      "couldn't find local name \"default\" in the initial cluster configuration"),
  ]
}
