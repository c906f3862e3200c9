import CommandLineTool
import YAML

/// Reads a configuration file, YAML or JSON, which YAML contains. Strict: what is not known is an error with its
/// place. Pure.
struct ConfigReader {
  private let path: String
  private var config = ClusterConfig()

  /// - Parameters:
  ///   - text: the file.
  ///   - path: its name, for messages.
  /// - Throws: `DevClusterError` with file, line, column and what was expected.
  static func read(_ text: [UInt8], path: String) throws(DevClusterError) -> ClusterConfig {
    var reader = ConfigReader(path: path)
    let document: YAMLNode?
    do throws(YAMLError) { document = try YAMLReader.read(text) } catch {
      throw .usage("\(path):\(error.mark.line):\(error.mark.column): \(error.message)")
    }
    guard let document, document.content != .scalar(.null) else { return reader.config }
    try reader.readAll(document)
    return reader.config
  }

  private init(path: String) { self.path = path }

  private mutating func readAll(_ node: YAMLNode) throws(DevClusterError) {
    let known = ["cluster", "binary", "version", "auth", "flags", "env", "members", "seed"]
    for entry in try entries(node, "the file", known) {
      switch entry.name {
      case "cluster": try readCluster(entry.value)
      case "binary", "version": config.binary = try text(entry.value, entry.name)
      case "auth": config.auth = try auth(entry.value)
      case "flags": config.flags = try flags(entry.value)
      case "env": config.environment = try environment(entry.value)
      case "members": try readMembers(entry.value)
      default: try readSeed(entry.value)
      }
    }
  }

  private mutating func readCluster(_ node: YAMLNode) throws(DevClusterError) {
    let known = ["members", "ports", "tls", "wait", "fast", "disk-faults"]
    for entry in try entries(node, "cluster", known) {
      switch entry.name {
      case "members": config.size = try number(entry.value, "members", ClusterPlan.sizes)
      case "ports":
        switch entry.value.content {
        case .scalar(.text("standard")): config.ports = .standard
        case .scalar(.text("auto")): config.ports = .auto
        default: config.ports = .base(try number(entry.value, "ports", 1024...65_000))
        }
      case "tls":
        switch entry.value.content {
        case .scalar(.bool(let isOn)): config.security = isOn ? .own : ClusterPlan.Security.none
        case .scalar(.text("auto")): config.security = .auto
        default: throw wrong(entry.value, "tls", "true, false or auto")
        }
      case "wait": config.wait = try number(entry.value, "wait", 1...3600)
      case "disk-faults": config.watchesDisks = try bool(entry.value, "disk-faults")
      default: config.isFast = try bool(entry.value, "fast")
      }
    }
  }

  private mutating func readMembers(_ node: YAMLNode) throws(DevClusterError) {
    let names = (1...ClusterPlan.membersMax).map { "m\($0)" }
    for entry in try entries(node, "members", names) {
      var member = ClusterConfig.Member()
      let known = ["binary", "version", "flags", "env", "learner", "start"]
      for part in try entries(entry.value, entry.name, known) {
        switch part.name {
        case "binary", "version": member.binary = try text(part.value, part.name)
        case "flags": member.flags = try flags(part.value)
        case "env": member.environment = try environment(part.value)
        case "learner": member.isLearner = try bool(part.value, "learner")
        default: member.starts = try bool(part.value, "start")
        }
      }
      config.members[entry.name] = member
    }
  }

  private mutating func readSeed(_ node: YAMLNode) throws(DevClusterError) {
    for entry in try entries(node, "seed", ["keys"]) {
      for pair in try entries(entry.value, "keys", nil) {
        config.seed.append(.init(key: pair.name, value: try text(pair.value, pair.name)))
      }
    }
  }

  private func auth(_ node: YAMLNode) throws(DevClusterError) -> AuthPlan? {
    if case .scalar(.bool(let isOn)) = node.content { return isOn ? AuthPlan() : nil }
    var auth = AuthPlan()
    for entry in try entries(node, "auth", ["root", "users"]) {
      if entry.name == "root" {
        auth.root = try text(entry.value, "root")
      } else {
        for user in try list(entry.value, "users") { auth.users.append(try self.user(user)) }
      }
    }
    return auth
  }

  private func user(_ node: YAMLNode) throws(DevClusterError) -> AuthPlan.User {
    var user = AuthPlan.User(name: "", password: "", permissions: [])
    for entry in try entries(node, "a user", ["name", "password", "permissions"]) {
      switch entry.name {
      case "name": user.name = try text(entry.value, "name")
      case "password": user.password = try text(entry.value, "password")
      default:
        for permission in try list(entry.value, "permissions") {
          user.permissions.append(try self.permission(permission))
        }
      }
    }
    guard !user.name.isEmpty, !user.password.isEmpty else {
      throw wrong(node, "a user", "a name and a password")
    }
    return user
  }

  private func permission(_ node: YAMLNode) throws(DevClusterError) -> AuthPlan.Permission {
    let words = try text(node, "permissions").split(separator: " ")
    guard words.count == 2, let kind = AuthPlan.Kind(rawValue: String(words[0])) else {
      throw wrong(node, "a permission", "r, w or rw and a key, such as \"rw /app/*\"")
    }
    let isPrefix = words[1].hasSuffix("*")
    return .init(
      kind: kind, key: String(isPrefix ? words[1].dropLast() : words[1]), isPrefix: isPrefix)
  }

  private func flags(_ node: YAMLNode) throws(DevClusterError) -> [String] {
    let flags = try entries(node, "flags", nil).map { (entry) throws(DevClusterError) in
      "--\(entry.name)=\(try text(entry.value, entry.name))"
    }
    do throws(DevClusterError) { try ClusterPlan.check(flags: flags) } catch {
      throw failure(node, error.description)
    }
    return flags
  }

  private func environment(_ node: YAMLNode) throws(DevClusterError) -> [String] {
    try entries(node, "env", nil).map { (entry) throws(DevClusterError) in
      "\(entry.name)=\(try text(entry.value, entry.name))"
    }
  }

  // MARK: values

  private func failure(_ node: YAMLNode, _ message: String) -> DevClusterError {
    .usage("\(path):\(node.mark.line):\(node.mark.column): \(message)")
  }

  private func wrong(_ node: YAMLNode, _ name: String, _ expected: String) -> DevClusterError {
    failure(node, "\(name): \(expected) expected, found \(Self.found(node))")
  }

  private static func found(_ node: YAMLNode) -> String {
    switch node.content {
    case .list: "a list"
    case .mapping: "a mapping"
    case .scalar(let scalar): plain(scalar).map { "'\($0)'" } ?? "nothing"
    }
  }

  /// A scalar as it is written for flags.
  private static func plain(_ scalar: YAMLScalar) -> String? {
    switch scalar {
    case .null: nil
    case .bool(let value): String(value)
    case .integer(let size, let isNegative): (isNegative ? "-" : "") + String(size)
    case .number(let number): String(number)
    case .text(let text): text
    }
  }

  /// The entries of a mapping.
  /// - Parameter known: names that may come; `nil` for any.
  private func entries(
    _ node: YAMLNode, _ name: String, _ known: [String]?
  ) throws(DevClusterError) -> [(name: String, value: YAMLNode)] {
    if node.content == .scalar(.null) { return [] }
    guard case .mapping(let entries) = node.content else {
      throw wrong(node, name, "a mapping of names to values")
    }
    var found: [(name: String, value: YAMLNode)] = []
    for entry in entries {
      guard case .scalar(let scalar) = entry.key.content, let key = Self.plain(scalar) else {
        throw wrong(entry.key, name, "a name")
      }
      if let known, !known.contains(key) {
        let meant = known.first { CommandNames.areSimilar($0, key) }
        throw failure(
          entry.key,
          "unknown key '\(key)' in \(name); "
            + (meant.map { "did you mean \($0)?" } ?? "known are \(known.joined(separator: ", "))"))
      }
      if found.contains(where: { $0.name == key }) {
        throw failure(entry.key, "'\(key)' comes twice in \(name)")
      }
      found.append((key, entry.value))
    }
    return found
  }

  private func list(_ node: YAMLNode, _ name: String) throws(DevClusterError) -> [YAMLNode] {
    guard case .list(let parts) = node.content else { throw wrong(node, name, "a list") }
    return parts
  }

  private func text(_ node: YAMLNode, _ name: String) throws(DevClusterError) -> String {
    guard case .scalar(let scalar) = node.content, let text = Self.plain(scalar) else {
      throw wrong(node, name, "a text")
    }
    return text
  }

  private func bool(_ node: YAMLNode, _ name: String) throws(DevClusterError) -> Bool {
    guard case .scalar(.bool(let value)) = node.content else {
      throw wrong(node, name, "true or false")
    }
    return value
  }

  private func number(
    _ node: YAMLNode, _ name: String, _ range: ClosedRange<Int>
  ) throws(DevClusterError) -> Int {
    guard case .scalar(.integer(let size, false)) = node.content, let number = Int(exactly: size),
      range.contains(number)
    else {
      throw wrong(node, name, "a number from \(range.lowerBound) to \(range.upperBound)")
    }
    return number
  }
}
