/// What a command line of `etcd` asks for.
public enum CommandLine: Sendable {
  /// Run a member. The notices are for its log.
  case run(ServerConfig, LogConfig, [Notice])
  /// Print this on standard output and end with status 0.
  case version(String)
  /// Print this on standard output and end with status 0.
  case help(String)
  /// End with `exitCode`. When `usage` is set, `message` and then `CommandLine.usage` go to standard
  /// error; otherwise it is logged as the error of "failed to verify flags".
  case failure(message: String, usage: Bool, exitCode: Int32)

  /// Reads a command line. Pure: the result depends on the parameters alone.
  ///
  /// A flag wins over its environment variable; etcd 3.5 refuses the pair, its documentation
  /// promises this.
  /// - Parameters:
  ///   - arguments: without the program's name.
  ///   - environment: all variables.
  public static func parse(_ arguments: [String], environment: [String: String]) -> CommandLine {
    if let first = arguments.first, ["gateway", "grpc-proxy"].contains(first) {
      return failed("etcd \(first) is not supported by this version yet")
    }
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
    var given = line.given
    if given.last(where: { $0.name == "version" })?.value.bool == true {
      return .version(versionText)
    }
    var settings = Settings.defaults
    do {
      let environment = Environment(environment)
      given += try environment.read(besides: given, &settings.notices)
      settings.server.verifies = environment.verifies(&settings.notices)
      try apply(given, to: &settings)
      let result = try Validation.run(settings)
      return .run(result.server, result.log, result.notices)
    } catch {
      return failed(error.message)
    }
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
    for name in Set(given.map(\.name)).intersection(FlagTable.deprecated).sorted() {
      settings.notices.append(
        Notice(.warn, "--\(name) is deprecated in 3.5 and will be decommissioned in 3.6."))
    }
    // The last value counts, so that a refused one may be taken back.
    for (name, value) in Dictionary(given.map { ($0.name, $0.value) }, uniquingKeysWith: { $1 })
      .sorted(by: { $0.key < $1.key })
    {
      guard let flag = FlagTable.byName[name], !isDefault(flag, value) else { continue }
      switch flag.support {
      case .full: break
      case .noEffect(let reason):
        settings.notices.append(
          Notice(.warn, "flag has no effect", ("flag", "--\(name)"), ("reason", reason)))
      case .notYet: throw ConfigFailure("--\(name) is not supported by this version yet")
      }
    }
    let names = Set(given.map(\.name))
    if names.contains("listen-client-urls") && !names.contains("advertise-client-urls") {
      settings.advertiseClient = nil
    }
  }

  private static func isDefault(_ flag: Flag, _ value: FlagValue) -> Bool {
    value == .exception("") || (try? flag.read(flag.fallback)) == value
  }
}
