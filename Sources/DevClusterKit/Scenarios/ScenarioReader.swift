import YAML

/// Reads a scenario file, YAML or JSON. Strict as `ConfigReader`. Pure.
struct ScenarioReader {
  private let fields: FieldReader
  private var scenario = Scenario()

  /// Nanoseconds: an hour.
  private static let timeMax: UInt64 = 3_600_000_000_000
  private static let stepsMax = 1000

  private static let ownKeys = ["name", "load", "steps", "random", "expect"]

  /// Whether a file is a scenario, and not a cluster alone.
  static func isScenario(_ document: YAMLNode) -> Bool {
    guard case .mapping(let entries) = document.content else { return false }
    return entries.contains { entry in
      guard case .scalar(.text(let name)) = entry.key.content else { return false }
      return ownKeys.contains(name)
    }
  }

  /// - Parameters:
  ///   - text: the file.
  ///   - path: its name, for messages.
  /// - Throws: `DevClusterError` with file, line, column and what was expected.
  static func read(_ text: [UInt8], path: String) throws(DevClusterError) -> Scenario {
    let fields = FieldReader(path: path)
    guard let document = try fields.document(text) else {
      throw DevClusterError.usage("\(path) is empty; a scenario has at least a name")
    }
    var reader = ScenarioReader(fields: fields)
    let entries = try fields.entries(document, "the file", ownKeys + ConfigReader.keys)
    reader.scenario.cluster = try ConfigReader.cluster(of: entries, fields)
    for entry in entries { try reader.read(entry.name, entry.value) }
    guard !reader.scenario.name.isEmpty else {
      throw fields.failure(document, "a scenario needs a name")
    }
    return reader.scenario
  }

  private init(fields: FieldReader) { self.fields = fields }

  private mutating func read(_ name: String, _ value: YAMLNode) throws(DevClusterError) {
    switch name {
    case "name": scenario.name = try fields.text(value, "name")
    case "load": try readLoad(value)
    case "steps":
      let nodes = try fields.list(value, "steps")
      guard nodes.count <= Self.stepsMax else {
        throw fields.failure(value, "\(nodes.count) steps; a scenario has \(Self.stepsMax) at most")
      }
      for node in nodes { scenario.steps.append(try step(node)) }
    case "random": scenario.chance = try chance(value)
    case "expect": try readExpectations(value)
    default: break
    }
  }

  private mutating func readLoad(_ node: YAMLNode) throws(DevClusterError) {
    for entry in try fields.entries(node, "load", ["kind", "clients", "keys", "rate", "time"]) {
      switch entry.name {
      case "kind":
        let kinds = Scenario.Load.Kind.allCases.map(\.rawValue).joined(separator: ", ")
        guard let kind = Scenario.Load.Kind(rawValue: try fields.text(entry.value, "kind")) else {
          throw fields.wrong(entry.value, "kind", "one of \(kinds)")
        }
        scenario.load.kind = kind
      case "clients": scenario.load.clients = try fields.number(entry.value, "clients", 1...64)
      case "keys": scenario.load.keys = try fields.number(entry.value, "keys", 1...1000)
      case "rate": scenario.load.rate = try fields.number(entry.value, "rate", 1...10_000)
      default: scenario.load.time = try fields.time(entry.value, "time", 1...Self.timeMax)
      }
    }
  }

  private mutating func readExpectations(_ node: YAMLNode) throws(DevClusterError) {
    let known = [
      "linearizable", "watch", "leases", "locks", "hashes", "minority", "writes-within",
      "leader-within", "leader-changes",
    ]
    for (name, value) in try fields.entries(node, "expect", known) {
      switch name {
      case "linearizable": scenario.expect.isLinearizable = try fields.bool(value, name)
      case "watch": scenario.expect.hasWholeWatches = try fields.bool(value, name)
      case "leases": scenario.expect.keepsLeases = try fields.bool(value, name)
      case "locks": scenario.expect.hasSafeLocks = try fields.bool(value, name)
      case "hashes": scenario.expect.hasEqualHashes = try fields.bool(value, name)
      case "minority": scenario.expect.refusesInMinority = try fields.bool(value, name)
      case "writes-within":
        scenario.expect.longestGap = try fields.time(value, name, 1...Self.timeMax)
      case "leader-within":
        scenario.expect.longestLeaderless = try fields.time(value, name, 1...Self.timeMax)
      default: scenario.expect.leaderChangesMax = try fields.number(value, name, 0...1000)
      }
    }
  }

  // MARK: what happens

  /// `{at: 2s, cut: leader, for: 1s}`: a time, and a command with its words.
  private func step(_ node: YAMLNode) throws(DevClusterError) -> Scenario.Step {
    var at: UInt64?
    var length: (time: UInt64, node: YAMLNode)?
    var step: Scenario.Step?
    for entry in try fields.entries(node, "a step", ["at", "for"] + ScenarioWords.commands) {
      switch entry.name {
      case "at": at = try fields.time(entry.value, "at", 0...Self.timeMax)
      case "for":
        length = (try fields.time(entry.value, "for", 1...Self.timeMax), entry.value)
      default:
        guard step == nil else {
          throw fields.failure(node, "a step has one command; write two steps with the same time")
        }
        let nothing = entry.value.content == .scalar(.null)
        let words = nothing ? "" : " " + (try fields.text(entry.value, entry.name))
        step = try self.step(entry.name + words, at: entry.value)
      }
    }
    guard let at, var step else {
      throw fields.wrong(
        node, "a step", "a time and a command, such as {at: 2s, cut: leader, for: 1s}")
    }
    step.at = at
    guard let length else { return step }
    return try lasting(step, length.time, length.node)
  }

  private func step(_ words: String, at node: YAMLNode) throws(DevClusterError) -> Scenario.Step {
    do throws(DevClusterError) { return try ScenarioWords.step(words) } catch {
      throw fields.failure(node, error.description)
    }
  }

  private func lasting(
    _ step: Scenario.Step, _ time: UInt64, _ node: YAMLNode
  ) throws(DevClusterError) -> Scenario.Step {
    guard step.canEnd else {
      throw fields.failure(node, "'\(step.words)' has no end; for is for faults, kill, stop, pause")
    }
    return step.lasting(time)
  }

  private func chance(_ node: YAMLNode) throws(DevClusterError) -> Scenario.Chance {
    var chance = Scenario.Chance(actions: [], from: 0, until: 0, pause: 1_000_000_000)
    var length: UInt64 = 1_000_000_000
    var faults: [YAMLNode] = []
    let known = ["from", "until", "pause", "for", "faults"]
    for (name, value) in try fields.entries(node, "random", known) {
      switch name {
      case "from": chance.from = try fields.time(value, name, 0...Self.timeMax)
      case "until": chance.until = try fields.time(value, name, 1...Self.timeMax)
      // Less would make more steps than anybody can carry out.
      case "pause": chance.pause = try fields.time(value, name, 100_000_000...Self.timeMax)
      case "for": length = try fields.time(value, name, 1...Self.timeMax)
      default: faults = try fields.list(value, name)
      }
    }
    for fault in faults {
      let step = try step(try fields.text(fault, "faults"), at: fault)
      chance.actions.append(step.canEnd && step.length == nil ? step.lasting(length) : step)
    }
    guard chance.until > chance.from, !chance.actions.isEmpty else {
      throw fields.wrong(node, "random", "faults, and until behind from,")
    }
    return chance
  }
}
