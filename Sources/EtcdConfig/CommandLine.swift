import YAML

/// What a command line of `etcd` asks for.
public enum CommandLine: Sendable {
  /// Run a member. The notices are for its log.
  case run(ServerConfig, LogConfig, [Notice])
  /// Print this on standard output and end with status 0.
  case version(String)
  /// Print this on standard output and end with status 0.
  case help(String)
  /// Print this, what a start would run with, on standard output and end with status 0.
  case checked(String)
  /// End with `exitCode`. When `usage` is set, `message` and then `CommandLine.usage` go to standard
  /// error; otherwise it is logged as the error of "failed to verify flags".
  case failure(message: String, usage: Bool, exitCode: Int32)

  /// Reads a file, at most somewhat more than the bytes that are wanted of it.
  public typealias FileReader = (_ path: String, _ bytesMax: Int) throws(UnreadableFile) -> [UInt8]

  /// Reads a command line. Pure: the result depends on the parameters alone.
  ///
  /// A configuration file counts alone, as for etcd. Without one, a flag wins over its environment variable;
  /// etcd 3.5 refuses the pair, its documentation promises this.
  /// - Parameters:
  ///   - arguments: without the program's name.
  ///   - environment: all variables.
  ///   - readFile: how to come by the configuration file.
  public static func parse(
    _ arguments: [String], environment: [String: String], readFile: FileReader
  ) -> CommandLine {
    let line: FlagParser.Result
    do {
      line = try FlagParser().parse(arguments)
    } catch {
      switch error {
      case .helpWanted: return .help(usage + helpText)
      case .bad(let message): return .failure(message: message, usage: true, exitCode: 2)
      }
    }
    if let word = line.rest.first { return failed("'\(word)' is not a valid flag") }
    if line.given.last(where: { $0.name == "version" })?.value.bool == true {
      return .version(versionText)
    }
    do {
      return try read(line.given, Environment(environment), readFile)
    } catch {
      return failed(error.message)
    }
  }

  private static func read(
    _ line: [FlagParser.Given], _ environment: Environment, _ readFile: FileReader
  ) throws(ConfigFailure) -> CommandLine {
    var settings = Settings.defaults
    var given = line
    let onLine = line.last { $0.name == "config-file" }?.value.text ?? ""
    let path = onLine.isEmpty ? environment.configFile : onLine
    if let path {
      given = try read(path, line, environment, readFile, &settings)
    } else {
      given += try environment.read(besides: line, &settings.notices)
      if Set(given.map(\.name)).isDisjoint(with: ["advertise-client-urls"]),
        given.contains(where: { $0.name == "listen-client-urls" })
      {
        settings.advertisesNothingToClients = true
      }
    }
    settings.server.verifies = environment.verifies(&settings.notices)
    try FlagTable.checkNames(given)
    given = try FeatureGates.expand(given)
    try apply(given, to: &settings)
    let result = try Validation.run(settings)
    guard settings.wantsCheck else { return .run(result.server, result.log, result.notices) }
    return .checked(
      CheckReport(
        given: given, server: result.server, notices: result.notices, isOfFile: path != nil
      ).text)
  }

  /// What a configuration file says, and that nothing else counts; a check stays one.
  private static func read(
    _ path: String, _ line: [FlagParser.Given], _ environment: Environment, _ readFile: FileReader,
    _ settings: inout Settings
  ) throws(ConfigFailure) -> [FlagParser.Given] {
    let text: [UInt8]
    do throws(UnreadableFile) { text = try readFile(path, YAMLReader.bytesMax) } catch {
      throw ConfigFailure(error.message)
    }
    let contents = try ConfigFile.read(text, path: path)
    // Of a file, etcd has no mode unless it is written there, and compacts nothing without one.
    settings.compactionMode = ""
    settings.notices.append(
      Notice(
        .info,
        "loaded server configuration, other configuration command line flags and environment"
          + " variables will be ignored if provided", ("path", path)))
    let ignored =
      Set(line.map(\.name)).subtracting(["config-file", "check-config"]).sorted().map { "--\($0)" }
      + environment.ignoredBesidesFile
    if !ignored.isEmpty {
      settings.notices.append(
        Notice(
          .warn, "the configuration file counts alone; flags and variables besides it are ignored",
          ("ignored", ignored.joined(separator: ","))))
    }
    settings.notices += contents.notices
    return contents.given + line.filter { $0.name == "check-config" }
  }

  private static func failed(_ message: String) -> CommandLine {
    .failure(message: message, usage: false, exitCode: 1)
  }

  private static func apply(
    _ given: [FlagParser.Given], to settings: inout Settings
  ) throws(ConfigFailure) {
    for item in given {
      guard let flag = FlagTable.byName[item.name] else { continue }
      flag.apply(&settings, item.value)
      if case .retired = flag.kind {
        settings.notices.append(
          Notice(.warn, "flag is no longer supported - ignoring", ("flag", "-\(flag.name)")))
      }
    }
    // Of a file, etcd says nothing.
    let outside = given.filter { $0.origin == .line || $0.origin == .variable }.map(\.name)
    for name in Set(outside).intersection(FlagTable.deprecated).sorted() {
      settings.notices.append(
        Notice(.warn, "--\(name) is deprecated in 3.5 and will be decommissioned in 3.6."))
    }
    // The last value counts.
    for (name, value) in Dictionary(given.map { ($0.name, $0.value) }, uniquingKeysWith: { $1 })
      .sorted(by: { $0.key < $1.key })
    {
      guard let flag = FlagTable.byName[name], !isDefault(flag, value) else { continue }
      switch flag.support {
      case .full: break
      case .noEffect(let reason):
        settings.notices.append(
          Notice(.warn, "flag has no effect", ("flag", "--\(name)"), ("reason", reason)))
      }
    }
    // What may become a proxy need not advertise anything.
    if settings.advertisesNothingToClients, !settings.server.mayBeProxy {
      settings.advertiseClient = nil
    }
  }

  private static func isDefault(_ flag: Flag, _ value: FlagValue) -> Bool {
    value == .exception("") || (try? flag.read(flag.fallback)) == value
  }
}

/// Why a file cannot be read, in the words of the system: `open F: no such file or directory`.
public struct UnreadableFile: Error, Equatable {
  public let message: String
  public init(_ message: String) { self.message = message }
}
