/// A configuration file, with what becomes of it here and under etcd 3.5.
struct ConfigFileCase: Sendable, CustomStringConvertible {
  enum Outcome: Sendable, Equatable {
    /// It runs; the values of these fields of the line "starting an etcd server", as JSON texts.
    case runs([String: String])
    /// It is refused by both, here with this message behind the file's name.
    case refused(String)
  }

  let name: String
  let text: String
  let outcome: Outcome

  var description: String { name }

  /// Ends the start of etcd once it has told what it would run with.
  static let end = """
    initial-cluster: another=http://localhost:2380
    listen-client-urls: http://127.0.0.1:0
    listen-peer-urls: http://127.0.0.1:0

    """

  private static func runs(
    _ name: String, _ text: String, _ fields: [String: String] = [:], isWhole: Bool = false
  ) -> ConfigFileCase {
    ConfigFileCase(name: name, text: isWhole ? text : text + "\n" + end, outcome: .runs(fields))
  }

  private static func refused(_ name: String, _ text: String, _ message: String) -> ConfigFileCase {
    ConfigFileCase(name: name, text: text + "\n", outcome: .refused(message))
  }

  static let all = accepted + types + structure

  private static let accepted = [
    runs("nothing of its own", "", ["name": "\"default\"", "pre-vote": "true"]),
    runs("a key in capitals", "NAME: zz", ["name": "\"zz\""]),
    runs("keys twice", "name: a\nname: b", ["name": "\"b\"", "data-dir": "\"b.etcd\""]),
    runs("unknown keys", "nme: x\nprevote: false\n1: 2", ["name": "\"default\""]),
    runs(
      "null leaves defaults", "name:\ndata-dir: ~\npre-vote: null\nlog-outputs:",
      ["name": "\"default\"", "data-dir": "\"default.etcd\"", "pre-vote": "true"]),
    runs(
      "truth values of YAML 1.1", "pre-vote: off\nforce-new-cluster: yes",
      ["pre-vote": "false", "force-new-cluster": "true"]),
    runs(
      "numbers with bases",
      "snapshot-count: 0x10\nheartbeat-interval: 0144\nelection-timeout: 1_0_00",
      ["snapshot-count": "16", "heartbeat-interval": "\"100ms\""]),
    runs("a whole number as a float", "snapshot-count: 1e3", ["snapshot-count": "1000"]),
    runs("a date is text", "name: 2001-01-01", ["name": "\"2001-01-01\""]),
    runs(
      "tags", "name: !!str 5\nsnapshot-count: !!int '7'",
      ["name": "\"5\"", "snapshot-count": "7"]),
    runs(
      "anchors", "name: &n abc\ninitial-cluster-token: *n",
      ["name": "\"abc\"", "initial-cluster-token": "\"abc\""]),
    runs("merged mappings", "x: &x\n  name: merged\n<<: *x", ["name": "\"merged\""]),
    runs(
      "durations in nanoseconds", "experimental-downgrade-check-time: 7000000000",
      ["downgrade-check-interval": "\"7s\""]),
    runs(
      "URLs",
      "advertise-client-urls: http://b:2, http://a:1\ninitial-advertise-peer-urls: http://c:3",
      [
        "advertise-client-urls": "[\"http://a:1\",\"http://b:2\"]",
        "initial-advertise-peer-urls": "[\"http://c:3\"]",
      ]),
    runs(
      "empty texts leave URLs alone", "advertise-client-urls: ''\ncors: ''\nhost-whitelist: ''",
      ["advertise-client-urls": "[\"http://localhost:2379\"]", "cors": "[\"*\"]"]),
    runs(
      "lists as texts", "cors: http://a:1,http://b:2\nhost-whitelist: c,d\nlog-outputs: [stderr]",
      ["host-whitelist": "[\"c\",\"d\"]"]),
    runs("sections", "socket-options:\npeer-transport-security:\n  auto-tls: false\n  allowed-cn:"),
    runs("a number below zero", "quota-backend-bytes: -1", ["quota-size-bytes": "-1"]),
    runs(
      "compaction needs its mode", "auto-compaction-retention: '5'",
      ["auto-compaction-mode": "\"\"", "auto-compaction-retention": "\"0s\""]),
    runs(
      "compaction", "auto-compaction-mode: periodic\nauto-compaction-retention: 30m",
      ["auto-compaction-mode": "\"periodic\"", "auto-compaction-retention": "\"30m0s\""]),
    runs(
      "JSON",
      """
      {"name": "j", "initial-cluster": "another=http://localhost:2380", "pre-vote": false,
      "listen-client-urls": "http://127.0.0.1:0", "listen-peer-urls": "http://127.0.0.1:0"}
      """, ["name": "\"j\"", "pre-vote": "false"], isWhole: true),
    runs(
      "the first of two documents", end + "name: a\n---\nname: b\n", ["name": "\"a\""],
      isWhole: true),
    runs(
      "an empty state is new", "initial-cluster-state: ''", ["initial-cluster-state": "\"new\""]),
  ]

  private static let types = [
    refused(
      "a number for a text", "name: 007",
      ":1:7: name: text expected, found the number 7; write it in quotes"),
    refused(
      "a truth value for a text", "name: yes",
      ":1:7: name: text expected, found the truth value true; write it in quotes"),
    refused("a list for a text", "name: [a]", ":1:7: name: text expected, found a list"),
    refused(
      "a text for a number", "snapshot-count: \"100\"",
      ":1:17: snapshot-count: a whole number from 0 to 18446744073709551615 expected, found the text"
        + " \"100\"; write it without quotes"),
    refused(
      "a fraction", "snapshot-count: 10.5",
      ":1:17: snapshot-count: a whole number from 0 to 18446744073709551615 expected, found the number 10.5"
    ),
    refused(
      "below zero", "snapshot-count: -1",
      ":1:17: snapshot-count: a whole number from 0 to 18446744073709551615 expected, found the number -1"
    ),
    refused(
      "too large", "quota-backend-bytes: 9223372036854775808",
      ":1:22: quota-backend-bytes: a whole number from -9223372036854775808 to 9223372036854775807"
        + " expected, found the number 9223372036854775808"),
    refused(
      "far too large", "snapshot-count: 99999999999999999999",
      ":1:17: snapshot-count: a whole number from 0 to 18446744073709551615 expected, found the number"
        + " 1e+20"),
    refused(
      "a text for a truth value", "pre-vote: \"true\"",
      ":1:11: pre-vote: true or false expected, found the text \"true\"; write it without quotes"),
    refused(
      "a number for a truth value", "pre-vote: 1",
      ":1:11: pre-vote: true or false expected, found the number 1"),
    refused(
      "a duration with its unit", "name: a\nbackend-batch-interval: 5s",
      ":2:25: backend-batch-interval: a whole number of nanoseconds (5000000000 for 5s) expected, found"
        + " the text \"5s\"; write 5000000000"),
    refused(
      "a text for a list", "log-outputs: stderr",
      ":1:14: log-outputs: a list of texts expected, as in [a, b], found the text \"stderr\""),
    refused(
      "a number in a list", "log-outputs: [stderr, 5]",
      ":1:23: log-outputs: text expected, found the number 5"),
    refused(
      "a text for a section", "client-transport-security: abc",
      ":1:28: client-transport-security: a mapping of keys to values expected, found the text \"abc\""
    ),
    refused(
      "a number in a section", "peer-transport-security:\n  cert-file: 5",
      ":2:14: peer-transport-security.cert-file: text expected, found the number 5; write it in quotes"
    ),
    refused(
      "a state that is none", "initial-cluster-state: foo",
      ":1:24: initial-cluster-state: one of 'new', 'existing' expected, found the text \"foo\""),
    refused(
      "proxy: off without quotes", "proxy: off",
      ":1:8: proxy: one of 'off', 'readonly', 'on' expected, found the truth value false; write it in"
        + " quotes"),
    refused(
      "no URL", "advertise-client-urls: foo",
      ":1:24: advertise-client-urls: URL scheme must be http, https, unix, or unixs: foo"),
    refused(
      "no origin", "cors: foo", ":1:7: cors: URL scheme must be http, https, unix, or unixs: foo"),
  ]

  private static let structure = [
    refused(
      "a tab", "socket-options:\n\treuse-port: true",
      ":2:1: found character that cannot start any token while scanning for the next token; if it is a"
        + " tab: YAML is indented with spaces"),
    refused(
      "a list that does not end", "name: [a",
      ":2:1: did not find expected ',' or ']' while parsing a flow sequence"),
    refused(
      "two values in a line", "name: a: b", ":1:8: mapping values are not allowed in this context"),
    refused(
      "a list instead of keys", "- name", ":1:1: a mapping of keys to values expected, found a list"
    ),
    refused(
      "text instead of keys", "name=a",
      ":1:1: a mapping of keys to values expected, found the text \"name=a\""),
    refused("an alias without its anchor", "name: *n", ":1:7: *n stands for nothing before it"),
  ]
}
