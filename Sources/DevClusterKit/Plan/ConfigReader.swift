import YAML

/// Reads a configuration file, YAML or JSON, which YAML contains. Strict: what is not known is an error with its
/// place. Pure.
struct ConfigReader {
  let fields: FieldReader
  private var config = ClusterConfig()

  /// - Parameters:
  ///   - text: the file.
  ///   - path: its name, for messages.
  /// - Throws: `DevClusterError` with file, line, column and what was expected.
  static func read(_ text: [UInt8], path: String) throws(DevClusterError) -> ClusterConfig {
    let fields = FieldReader(path: path)
    guard let document = try fields.document(text) else { return ClusterConfig() }
    // The cluster of a scenario can be started alone, to look at it.
    if ScenarioReader.isScenario(document) {
      return try ScenarioReader.read(text, path: path).cluster
    }
    return try cluster(of: try fields.entries(document, "the file", keys), fields)
  }

  /// What may stand at the top.
  static let keys = [
    "cluster", "binary", "version", "auth", "flags", "env", "members", "seed", "zones", "faults",
    "ui",
  ]

  static let memberNames = (1...ClusterPlan.membersMax).map { "m\($0)" }

  /// Reads those of some entries whose names are among `keys`.
  static func cluster(
    of entries: [(name: String, value: YAMLNode)], _ fields: FieldReader
  ) throws(DevClusterError) -> ClusterConfig {
    var reader = ConfigReader(fields: fields)
    for entry in entries { try reader.read(entry.name, entry.value) }
    return reader.config
  }

  private init(fields: FieldReader) { self.fields = fields }

  private mutating func read(_ name: String, _ value: YAMLNode) throws(DevClusterError) {
    switch name {
    case "cluster": try readCluster(value)
    case "binary", "version": config.binary = try fields.text(value, name)
    case "auth": config.auth = try auth(value)
    case "flags": config.flags = try flags(value)
    case "env": config.environment = try environment(value)
    case "members": try readMembers(value)
    case "seed": try readSeed(value)
    case "ui": config.page = try page(value)
    case "zones": config.zones = try zones(value)
    case "faults": config.faults = try faults(value)
    default: break
    }
  }

  private mutating func readCluster(_ node: YAMLNode) throws(DevClusterError) {
    let known = ["members", "ports", "tls", "wait", "fast", "discovery", "disk-faults"]
    for entry in try fields.entries(node, "cluster", known) {
      switch entry.name {
      case "members": config.size = try fields.number(entry.value, "members", ClusterPlan.sizes)
      case "ports":
        switch entry.value.content {
        case .scalar(.text("standard")): config.ports = .standard
        case .scalar(.text("auto")): config.ports = .auto
        default: config.ports = .base(try fields.number(entry.value, "ports", 1024...65_000))
        }
      case "tls":
        switch entry.value.content {
        case .scalar(.bool(let isOn)): config.security = isOn ? .own : ClusterPlan.Security.none
        case .scalar(.text("auto")): config.security = .auto
        default: throw fields.wrong(entry.value, "tls", "true, false or auto")
        }
      case "wait": config.wait = try fields.number(entry.value, "wait", 1...3600)
      case "disk-faults": config.watchesDisks = try fields.bool(entry.value, "disk-faults")
      case "discovery": config.isDiscovered = try fields.bool(entry.value, "discovery")
      default: config.isFast = try fields.bool(entry.value, "fast")
      }
    }
  }

  private func page(_ node: YAMLNode) throws(DevClusterError) -> PagePlan {
    if case .scalar(.bool(let isOn)) = node.content { return isOn ? .free : .none }
    guard case .scalar(.integer) = node.content else {
      throw fields.wrong(node, "ui", "true, false or a port")
    }
    return .port(try fields.number(node, "ui", PagePlan.ports))
  }

  private mutating func readMembers(_ node: YAMLNode) throws(DevClusterError) {
    for entry in try fields.entries(node, "members", Self.memberNames) {
      var member = ClusterConfig.Member()
      let known = ["binary", "version", "flags", "env", "learner", "start"]
      for part in try fields.entries(entry.value, entry.name, known) {
        switch part.name {
        case "binary", "version": member.binary = try fields.text(part.value, part.name)
        case "flags": member.flags = try flags(part.value)
        case "env": member.environment = try environment(part.value)
        case "learner": member.isLearner = try fields.bool(part.value, "learner")
        default: member.starts = try fields.bool(part.value, "start")
        }
      }
      config.members[entry.name] = member
    }
  }

  private mutating func readSeed(_ node: YAMLNode) throws(DevClusterError) {
    for entry in try fields.entries(node, "seed", ["keys", "snapshot"]) {
      if entry.name == "snapshot" {
        config.snapshot = try fields.text(entry.value, "snapshot")
        continue
      }
      for pair in try fields.entries(entry.value, "keys", nil) {
        config.seed.append(.init(key: pair.name, value: try fields.text(pair.value, pair.name)))
      }
    }
  }

  private func auth(_ node: YAMLNode) throws(DevClusterError) -> AuthPlan? {
    if case .scalar(.bool(let isOn)) = node.content { return isOn ? AuthPlan() : nil }
    var auth = AuthPlan()
    for entry in try fields.entries(node, "auth", ["root", "users"]) {
      if entry.name == "root" {
        auth.root = try fields.text(entry.value, "root")
      } else {
        for user in try fields.list(entry.value, "users") { auth.users.append(try self.user(user)) }
      }
    }
    return auth
  }

  private func user(_ node: YAMLNode) throws(DevClusterError) -> AuthPlan.User {
    var user = AuthPlan.User(name: "", password: "", permissions: [])
    for entry in try fields.entries(node, "a user", ["name", "password", "permissions"]) {
      switch entry.name {
      case "name": user.name = try fields.text(entry.value, "name")
      case "password": user.password = try fields.text(entry.value, "password")
      default:
        for permission in try fields.list(entry.value, "permissions") {
          user.permissions.append(try self.permission(permission))
        }
      }
    }
    guard !user.name.isEmpty, !user.password.isEmpty else {
      throw fields.wrong(node, "a user", "a name and a password")
    }
    return user
  }

  private func permission(_ node: YAMLNode) throws(DevClusterError) -> AuthPlan.Permission {
    let words = try fields.text(node, "permissions").split(separator: " ")
    guard words.count == 2, let kind = AuthPlan.Kind(rawValue: String(words[0])) else {
      throw fields.wrong(node, "a permission", "r, w or rw and a key, such as \"rw /app/*\"")
    }
    let isPrefix = words[1].hasSuffix("*")
    return .init(
      kind: kind, key: String(isPrefix ? words[1].dropLast() : words[1]), isPrefix: isPrefix)
  }

  private func flags(_ node: YAMLNode) throws(DevClusterError) -> [String] {
    let flags = try fields.entries(node, "flags", nil).map { (entry) throws(DevClusterError) in
      "--\(entry.name)=\(try fields.text(entry.value, entry.name))"
    }
    do throws(DevClusterError) { try ClusterPlan.check(flags: flags) } catch {
      throw fields.failure(node, error.description)
    }
    return flags
  }

  private func environment(_ node: YAMLNode) throws(DevClusterError) -> [String] {
    try fields.entries(node, "env", nil).map { (entry) throws(DevClusterError) in
      "\(entry.name)=\(try fields.text(entry.value, entry.name))"
    }
  }
}
