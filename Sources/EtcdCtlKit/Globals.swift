import Bytes
import CommandLineTool
import DNS
import EtcdClient
import GoText
import JSON
import Protobuf
import TLS

/// Flags of every command, each with an environment variable `ETCDCTL_NAME`.
///
/// - Source: etcd `etcdctl/ctlv3/ctl.go`, `command/global.go`.
enum Globals {
  static let flags: [CommandFlag] = {
    var format = CommandFlag(
      "write-out", shorthand: "w", .string, default: "simple",
      "set the output format (fields, json, protobuf, simple, table)")
    format.choices = ["fields", "json", "protobuf", "simple", "table"]
    return [
      CommandFlag("endpoints", .strings, default: "127.0.0.1:2379", "gRPC endpoints"),
      CommandFlag("debug", .bool, "enable client-side debug logging"),
      format,
      CommandFlag("hex", .bool, "print byte strings as hex encoded strings"),
      CommandFlag(
        "dial-timeout", .duration, default: "2s", "dial timeout for client connections"),
      CommandFlag(
        "command-timeout", .duration, default: "5s",
        "timeout for short running command (excluding dial timeout)"),
      CommandFlag(
        "keepalive-time", .duration, default: "2s", "keepalive time for client connections"),
      CommandFlag(
        "keepalive-timeout", .duration, default: "6s", "keepalive timeout for client connections"),
      CommandFlag(
        "insecure-transport", .bool, default: "true",
        "disable transport security for client connections"),
      CommandFlag(
        "insecure-discovery", .bool, default: "true",
        "accept insecure SRV records describing cluster endpoints"),
      CommandFlag(
        "insecure-skip-tls-verify", .bool,
        "skip server certificate verification (CAUTION: this option should be enabled only for "
          + "testing purposes)"),
      CommandFlag(
        "cert", .string, "identify secure client using this TLS certificate file"),
      CommandFlag("key", .string, "identify secure client using this TLS key file"),
      CommandFlag(
        "cacert", .string, "verify certificates of TLS-enabled secure servers using this CA bundle"
      ),
      CommandFlag(
        "user", .string,
        "username[:password] for authentication (prompt if password is not supplied)"),
      CommandFlag(
        "password", .string,
        "password for authentication (if this option is used, --user option shouldn't include "
          + "password)"),
      CommandFlag(
        "discovery-srv", shorthand: "d", .string,
        "domain name to query for SRV records describing cluster endpoints"),
      CommandFlag(
        "discovery-srv-name", .string, "service name to query when using DNS discovery"),
    ]
  }()

  static func variable(_ flag: String) -> String {
    "ETCDCTL_" + flag.uppercased().replacing("-", with: "_")
  }
}

/// What the global flags and variables say.
struct ClientSettings: Sendable {
  var endpoints: [String]
  /// What members are verified by; `nil` where nothing asks for TLS but endpoints themselves.
  var tls: EtcdClientConfiguration.TLS?
  let dialTimeout: Duration
  let commandTimeout: Duration
  let isCommandTimeoutGiven: Bool
  let keepaliveTime: Duration
  let keepaliveTimeout: Duration
  var user: (name: String, password: String)?
  let format: Format
  let isHex: Bool
  /// Whether what connections do is told.
  let isDebug: Bool
  /// Whether the endpoints are those of all members.
  let isClusterMeant: Bool
  /// Where it is told what becomes of connections.
  var phases: PhaseLog

  /// - Throws: for files that cannot be used, for an unknown format.
  init(_ invocation: Invocation, _ world: EtcdCtl.World) throws(CommandFailure) {
    let values = Values(invocation, world.environment)
    phases = world.phases
    isDebug = GoNumber.bool(values.text("debug")) == true
    if isDebug { invocation.console.printError(values.list) }
    isClusterMeant = invocation.has("cluster") && GoNumber.bool(values.text("cluster")) == true
    let discovered = try values.discovered(world)
    endpoints = discovered.isEmpty ? Self.words(values.text("endpoints")) : discovered
    tls = try values.tls(endpoints)
    values.tellWhatDoesNothing(tls)
    dialTimeout = values.duration("dial-timeout")
    commandTimeout = values.duration("command-timeout")
    isCommandTimeoutGiven = values.isGiven("command-timeout")
    keepaliveTime = values.duration("keepalive-time")
    keepaliveTimeout = values.duration("keepalive-timeout")
    user = Self.user(values.text("user"), values.text("password")) {
      world.askPassword("Password: ")
    }
    guard let format = Format(rawValue: values.text("write-out")) else {
      throw CommandFailure("unsupported output format", exitCode: CommandFailure.badFeature)
    }
    self.format = format
    isHex = GoNumber.bool(values.text("hex")) == true
  }

  private static func words(_ text: String) -> [String] {
    guard !text.isEmpty else { return [] }
    return text.split(separator: ",", omittingEmptySubsequences: false).map { word in
      String(word.drop { $0 == " " }.reversed().drop { $0 == " " }.reversed())
    }
  }

  /// Who signs in: name and password from two flags, or asked for.
  static func user(
    _ user: String, _ password: String, ask: () -> String
  ) -> (name: String, password: String)? {
    guard !user.isEmpty else { return nil }
    if !password.isEmpty { return (user, password) }
    if let colon = user.firstIndex(of: ":") {
      return (String(user[..<colon]), String(user[user.index(after: colon)...]))
    }
    return (user, ask())
  }
}

/// Flags, and variables for those that are not given.
private struct Values {
  private let invocation: Invocation
  private let flags: [CommandFlag]
  private var fromEnvironment: [String: String] = [:]

  init(_ invocation: Invocation, _ environment: [String: String]) {
    self.invocation = invocation
    var known: Set<String> = ["ETCDCTL_API", "ETCDCTL_WATCH_KEY", "ETCDCTL_WATCH_RANGE_END"]
    let inherited = invocation.inheritedFlags.filter { flag in
      !Globals.flags.contains { $0.name == flag.name }
    }
    flags = (Globals.flags + inherited).sorted { $0.name < $1.name }
    for flag in flags {
      let variable = Globals.variable(flag.name)
      known.insert(variable)
      guard let text = environment[variable], !text.isEmpty else { continue }
      guard !invocation.isGiven(flag.name) else {
        Self.warn(
          invocation.console,
          "environment variable is shadowed by corresponding command-line flag; the flag wins",
          variable)
        continue
      }
      // Go's etcdctl ignores it without a word.
      if let problem = flag.kind.problem(text) {
        Self.warn(
          invocation.console,
          "invalid value \(GoQuote.text(text)) in the environment is ignored: \(problem)", variable)
        continue
      }
      fromEnvironment[flag.name] = text
    }
    for name in environment.keys.sorted()
    where name.hasPrefix("ETCDCTL_") && !known.contains(name) {
      Self.warn(
        invocation.console, "unrecognized environment variable",
        "\(name)=\(environment[name] ?? "")")
    }
  }

  private static func warn(_ console: Console, _ message: String, _ variable: String) {
    let line: JSONValue = [
      "level": "warn", "msg": .string(message), "environment-variable": .string(variable),
    ]
    console.printError(line.encoded().string + "\n")
  }

  func isGiven(_ name: String) -> Bool {
    invocation.isGiven(name) || fromEnvironment[name] != nil
  }

  func text(_ name: String) -> String { fromEnvironment[name] ?? invocation.string(name) }

  func duration(_ name: String) -> Duration {
    .nanoseconds((try? GoDuration.parse(text(name))) ?? 0)
  }

  /// All of them as variables, as Go's etcdctl shows them, passwords included.
  var list: String {
    var lines = flags.map { flag in "\(Globals.variable(flag.name))=\(shown(flag))\n" }
    if invocation.name.hasPrefix("watch") {
      lines += ["ETCDCTL_WATCH_KEY=\n", "ETCDCTL_WATCH_RANGE_END=\n"]
    }
    return lines.sorted().joined()
  }

  private func shown(_ flag: CommandFlag) -> String {
    let text = text(flag.name)
    if flag.kind.isList { return "[\(text)]" }
    if let nanoseconds = try? GoDuration.parse(text), flag.kind.typeName == "duration" {
      return Duration.nanoseconds(nanoseconds).goDescription
    }
    if let isSet = GoNumber.bool(text), flag.kind.bare != nil { return "\(isSet)" }
    return text
  }

  /// What was asked for and changes nothing is told: there is no DNS for it to act on, or no TLS.
  func tellWhatDoesNothing(_ tls: EtcdClientConfiguration.TLS?) {
    let withoutDNS = text("discovery-srv").isEmpty ? "no endpoint comes from DNS" : nil
    for (name, reason) in [
      ("insecure-discovery", withoutDNS), ("discovery-srv-name", withoutDNS),
      ("insecure-skip-tls-verify", tls == nil ? "no connection uses TLS" : nil),
    ] {
      guard let reason, isGiven(name) else { continue }
      let line: JSONValue = [
        "level": "warn", "msg": "flag has no effect", "flag": .string("--\(name)"),
        "reason": .string(reason),
      ]
      invocation.console.printError(line.encoded().string + "\n")
    }
  }

  /// - Source: etcd `secureCfgFromCmd`, `newClientCfg`.
  func tls(_ endpoints: [String]) throws(CommandFailure) -> EtcdClientConfiguration.TLS? {
    for name in ["cert", "key", "cacert"] where invocation.isGiven(name) && text(name).isEmpty {
      throw CommandFailure(
        "empty string is passed to --\(name) option", exitCode: CommandFailure.badArguments)
    }
    return try ClientSettings.tls(
      for: endpoints, certificate: text("cert"), key: text("key"), authority: text("cacert"),
      serverName: discovery.serverName,
      isTransportInsecure: GoNumber.bool(text("insecure-transport")) != false,
      skipsVerification: GoNumber.bool(text("insecure-skip-tls-verify")) == true)
  }

  private var discovery: Discovery {
    Discovery(
      domain: text("discovery-srv"), suffix: text("discovery-srv-name"),
      isInsecure: GoNumber.bool(text("insecure-discovery")) == true)
  }

  /// Endpoints that the DNS names; none when it is not asked.
  /// - Throws: why it has none.
  func discovered(_ world: EtcdCtl.World) throws(CommandFailure) -> [String] {
    do throws(ClientLookupFailure) {
      return try discovery.endpoints(world.services, invocation.console)
    } catch {
      throw CommandFailure(error.description)
    }
  }
}

extension ClientSettings {
  /// What TLS a client speaks, by what it was given.
  /// - Throws: for files that cannot be used, in Go's words; exit code 128.
  static func tls(
    for endpoints: [String], certificate: String, key: String, authority: String,
    serverName: String = "", isTransportInsecure: Bool, skipsVerification: Bool
  ) throws(CommandFailure) -> EtcdClientConfiguration.TLS? {
    let isAnyGiven = ![certificate, key, authority, serverName].allSatisfy(\.isEmpty)
    // To skip the verification makes no plain endpoint a secure one. Go's etcdctl skips it for secure ones only
    // where a file or --insecure-transport=false is given, too.
    let isSkipMeant = skipsVerification && endpoints.contains(where: Endpoint.isSecure)
    guard isAnyGiven || !isTransportInsecure || isSkipMeant else { return nil }
    let tls = EtcdClientConfiguration.TLS(
      certificateFile: certificate, keyFile: key, trustedCAFile: authority,
      serverName: serverName, insecureSkipVerify: skipsVerification)
    let probe = EtcdClientConfiguration(endpoints: [], tls: tls)
    do throws(TLSFailure) { _ = try ClientSecurity(probe, for: .grpc) } catch {
      throw CommandFailure(error.description, exitCode: CommandFailure.badArguments)
    }
    return tls
  }
}
