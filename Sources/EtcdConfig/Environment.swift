import GoText

/// Flags given as `ETCD_*` variables.
struct Environment {
  private let variables: [String: String]

  init(_ variables: [String: String]) { self.variables = variables }

  /// No flag's: it turns on checks that cost too much for every day.
  private static let verify = "ETCD_VERIFY"

  /// Whether all checks are asked for; another value than `all` is none and is warned of.
  /// - Source: etcd `server/verify/verify.go`, `ENV_VERIFY_ALL_VALUE`.
  func verifies(_ notices: inout [Notice]) -> Bool {
    guard let value = variables[Self.verify], !value.isEmpty else { return false }
    guard value == "all" else {
      notices.append(
        Notice(
          .warn, "environment variable has no effect; set it to \"all\" to turn checks on",
          ("environment-variable", "\(Self.verify)=\(value)")))
      return false
    }
    return true
  }

  /// The configuration file that is named by a variable; an empty one is none.
  var configFile: String? {
    variables["ETCD_CONFIG_FILE"].flatMap { $0.isEmpty ? nil : $0 }
  }

  /// Names of variables that a configuration file makes nothing of.
  var ignoredBesidesFile: [String] {
    let known = Set(FlagTable.all.map(\.environmentName)).subtracting(["ETCD_CONFIG_FILE"])
    return variables.filter { known.contains($0.key) && !$0.value.isEmpty }.keys.sorted()
  }

  /// The flags that stand in the environment and not in `line`; an empty variable is none.
  /// - Throws: `ConfigFailure` for a value that cannot be read.
  func read(
    besides line: [FlagParser.Given], _ notices: inout [Notice]
  ) throws(ConfigFailure) -> [FlagParser.Given] {
    let onLine = Set(line.map(\.name))
    var known: Set<String> = ["ETCD_VERSION", Self.verify]
    var found: [FlagParser.Given] = []
    if let version = variables["ETCD_VERSION"], !version.isEmpty {
      notices.append(
        Notice(
          .warn, "cannot set special environment variable", ("key", "ETCD_VERSION"),
          ("value", version)))
    }
    for flag in FlagTable.all.sorted(by: { $0.name < $1.name }) where flag.name != "version" {
      let key = flag.environmentName
      known.insert(key)
      guard let text = variables[key], !text.isEmpty else { continue }
      guard !onLine.contains(flag.name) else {
        notices.append(
          Notice(
            .warn,
            "environment variable is shadowed by corresponding command-line flag; the flag wins",
            ("environment-variable", key)))
        continue
      }
      do {
        found.append(
          FlagParser.Given(name: flag.name, value: try flag.read(text), origin: .variable))
      } catch {
        throw ConfigFailure("invalid value \(GoQuote.text(text)) for \(key): \(error.message)")
      }
      notices.append(
        Notice(
          .info, "recognized and used environment variable", ("variable-name", key),
          ("variable-value", text)))
    }
    for (name, value) in variables.sorted(by: { $0.key < $1.key })
    where name.hasPrefix("ETCD_") && !known.contains(name) {
      notices.append(
        Notice(
          .warn, "unrecognized environment variable", ("environment-variable", "\(name)=\(value)")))
    }
    return found
  }
}
