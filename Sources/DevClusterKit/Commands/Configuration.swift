import FileSystem
import Platform

/// What `config show` and `export` write: what would run. Pure but for the search for programs.
struct Configuration {
  let plan: ClusterPlan

  /// For each member its variables and its command line.
  func shown() throws(DevClusterError) -> String {
    var lines: [String] = ["# \(plan.directory): \(plan.members.count) members"]
    lines += (plan.zones.lines + plan.faults.map(\.description)).map { "# " + $0 }
    for member in plan.members {
      let environment = plan.environment + member.environment
      let words = environment + [try MemberProgram.path(member, plan)] + plan.arguments(of: member)
      let note =
        member.isLearner
        ? "  # joins as a learner" : member.startsWithCluster ? "" : "  # not started"
      lines.append("\(member.name): " + Self.quoted(words) + note)
    }
    return lines.joined(separator: "\n")
  }

  private static func quoted(_ words: [String]) -> String {
    words.map(EnvironmentLines.quoted).joined(separator: " ")
  }

  func export(_ format: ExportFormat) throws(DevClusterError) -> String {
    // There is neither a relay nor a discovery service where it leads to.
    let own = Configuration(plan: plan.relayed(.none).undiscovered())
    return switch format {
    case .procfile: try own.procfile()
    case .systemd: try own.systemd()
    case .compose: own.compose()
    }
  }

  /// For goreman and foreman.
  private func procfile() throws(DevClusterError) -> String {
    var lines: [String] = []
    for member in plan.members {
      let environment = plan.environment + member.environment
      let words =
        (environment.isEmpty ? [] : ["env"] + environment) + [try MemberProgram.path(member, plan)]
        + plan.arguments(of: member)
      lines.append("\(member.name): " + Self.quoted(words))
    }
    return lines.joined(separator: "\n")
  }

  /// A unit for each member, one after another with its file's name.
  private func systemd() throws(DevClusterError) -> String {
    var units: [String] = []
    for member in plan.members {
      let words = [try MemberProgram.path(member, plan)] + plan.arguments(of: member)
      let variables = (plan.environment + member.environment).map { "Environment=\(Self.unit($0))" }
      units.append(
        ([
          "# etcd-\(member.name).service", "[Unit]", "Description=etcd \(member.name)", "",
          "[Service]", "Type=notify",
        ] + variables + [
          "ExecStart=" + words.map(Self.unit).joined(separator: " "), "Restart=on-failure",
          "LimitNOFILE=65536", "", "[Install]", "WantedBy=default.target",
        ]).joined(separator: "\n"))
    }
    return units.joined(separator: "\n\n")
  }

  /// A word as systemd takes it.
  /// - Source: systemd.syntax(7), systemd.unit(5) for `%` and `$`.
  private static func unit(_ word: String) -> String {
    var text = ""
    for character in word {
      switch character {
      case "\\", "\"": text += "\\\(character)"
      case "%", "$": text += "\(character)\(character)"
      default: text.append(character)
      }
    }
    return "\"\(text)\""
  }

  /// On the host's network, so that URLs stay what they are.
  private func compose() -> String {
    var lines = ["services:"]
    for member in plan.members {
      let version = member.binary ?? plan.binary
      let tag = version.flatMap { $0.first?.isNumber == true ? $0 : nil } ?? "3.5.30"
      lines += [
        "  \(member.name):", "    image: quay.io/coreos/etcd:v\(tag)", "    network_mode: host",
        "    volumes: [\(Self.yaml("\(plan.directory):\(plan.directory)"))]",
      ]
      let environment = plan.environment + member.environment
      if !environment.isEmpty {
        lines.append("    environment: [\(environment.map(Self.yaml).joined(separator: ", "))]")
      }
      lines.append("    command:")
      lines += (["etcd"] + plan.arguments(of: member)).map { "      - \(Self.yaml($0))" }
    }
    return lines.joined(separator: "\n")
  }

  private static func yaml(_ text: String) -> String {
    "'" + text.split(separator: "'", omittingEmptySubsequences: false).joined(separator: "''") + "'"
  }
}

/// Where a configuration file is.
enum ConfigurationFile {
  static let name = "devcluster.yaml"

  /// What the file says that was named, or the one of this directory; `nil` where there is none.
  static func read(_ given: String?) throws(DevClusterError) -> ClusterConfig? {
    guard let path = given ?? (Paths.exists(name) ? name : nil) else { return nil }
    guard let text = System.read(path) else {
      throw DevClusterError.usage("cannot read \(path): \(System.lastError)")
    }
    return try ConfigReader.read(Array(text), path: path)
  }

  static func write(_ path: String) throws(DevClusterError) {
    guard !Paths.exists(path) else { throw DevClusterError("\(path) is there already") }
    try System.replace(path, ClusterConfig.sample)
    System.print("\(path) was written; devcluster config show prints what it means")
  }
}
