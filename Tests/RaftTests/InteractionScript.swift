import Bytes
import EtcdAPI

@testable import Raft

/// A group of members driven by script commands, as etcd-io/raft's `rafttest`.
struct InteractionScript: ScriptRunner {
  /// The stable log of a scripted member. The snapshot it serves is the state after what was applied
  /// last.
  struct Storage: RaftStorage {
    var memory = MemoryStorage()
    var history: [Raftpb.Snapshot] = []

    func initialState() -> (hardState: Raftpb.HardState, confState: Raftpb.ConfState) {
      memory.initialState()
    }
    func entries(
      _ low: UInt64, _ high: UInt64, maxSize: UInt64
    ) throws(RaftStorageError) -> [Raftpb.Entry] {
      try memory.entries(low, high, maxSize: maxSize)
    }
    func term(of index: UInt64) throws(RaftStorageError) -> UInt64 { try memory.term(of: index) }
    var firstIndex: UInt64 { memory.firstIndex }
    var lastIndex: UInt64 { memory.lastIndex }
    func snapshot() throws(RaftStorageError) -> Raftpb.Snapshot { history[history.count - 1] }
  }

  struct Node {
    var raw: RawNode<Storage>
    var appendWork: [Raftpb.Message] = []
    var applyWork: [Raftpb.Message] = []
  }

  var nodes: [Node] = []
  /// On the way between members.
  var messages: [Raftpb.Message] = []
  let output = ScriptOutput()

  mutating func run(_ block: ScriptBlock) throws -> String {
    _ = output.take()
    do {
      try handle(block)
    } catch let error as CommandError {
      // Errors show whatever the level is.
      if output.isQuiet { return error.description }
      output.write(error.description)
    }
    let text = output.take()
    return text.isEmpty ? "ok" : text
  }

  /// An error that belongs into the output.
  struct CommandError: Error, CustomStringConvertible {
    var description: String
    init(_ error: Any) { description = "\(error)" }
  }

  /// Turns errors of the machine into output.
  func reporting(_ body: () throws -> Void) throws {
    do {
      try body()
    } catch let error as RaftError {
      throw CommandError(error)
    } catch let error as RaftStorageError {
      throw CommandError(error)
    }
  }

  private mutating func handle(_ block: ScriptBlock) throws {
    switch block.command {
    case "_breakpoint": break
    case "add-nodes": try addNodes(block)
    case "campaign":
      let at = try firstNode(block)
      nodes[at].raw.campaign()
    case "compact": try compact(block)
    case "deliver-msgs": try deliverMessages(block)
    case "process-ready": try each(block, "handling Ready") { try $0.processReady($1) }
    case "process-append-thread":
      try each(block, "processing append thread") { try $0.processAppendThread($1) }
    case "process-apply-thread":
      try each(block, "processing apply thread") { try $0.processApplyThread($1) }
    case "log-level": try setLevel(try first(block))
    case "raft-log": try raftLog(try firstNode(block))
    case "raft-state": raftState()
    case "set-randomized-election-timeout":
      let at = try firstNode(block)
      guard let text = block.values("timeout").first, try block.int(text) != 0 else {
        throw block.failure("missing argument: timeout")
      }
      nodes[at].raw.setRandomizedElectionTimeout(try block.int(text))
    case "stabilize": try stabilize(block)
    case "status":
      let at = try firstNode(block)
      output.write(nodes[at].raw.status.progress.description)
    case "tick-election":
      let at = try firstNode(block)
      tick(at, nodes[at].raw.config.electionTicks)
    case "tick-heartbeat":
      let at = try firstNode(block)
      tick(at, nodes[at].raw.config.heartbeatTicks)
    case "transfer-leadership": try transferLeadership(block)
    case "forget-leader":
      let at = try firstNode(block)
      nodes[at].raw.forgetLeader()
    case "send-snapshot": try sendSnapshot(block)
    case "propose": try propose(block)
    case "propose-conf-change": try proposeConfChange(block)
    case "report-unreachable": try reportUnreachable(block)
    default: throw CommandError("unknown command")
    }
  }

  // MARK: Arguments

  func first(_ block: ScriptBlock) throws -> String {
    guard let first = block.arguments.first else { throw block.failure("missing argument") }
    return first.key
  }

  /// Position of the member whose id is `text`.
  func node(_ text: String, _ block: ScriptBlock) throws -> Int {
    let id = try block.int(text)
    guard id >= 1, id <= nodes.count else { throw block.failure("no node \(id)") }
    return id - 1
  }

  func firstNode(_ block: ScriptBlock) throws -> Int { try node(try first(block), block) }

  func nodeList(_ block: ScriptBlock) throws -> [Int] {
    try block.plainKeys.map { try node($0, block) }
  }

  /// Runs a command for each listed member, under headings when there are several.
  private mutating func each(
    _ block: ScriptBlock, _ heading: String, _ body: (inout Self, Int) throws -> Void
  ) throws {
    let list = try nodeList(block)
    for at in list {
      if list.count > 1 {
        output.write("> \(at + 1) \(heading)\n")
        try output.indented { try body(&self, at) }
      } else {
        try body(&self, at)
      }
    }
  }

  // MARK: Simple commands

  func setLevel(_ name: String) throws {
    let wanted = name.uppercased()
    guard let level = ScriptOutput.levelNames.firstIndex(of: wanted) else {
      let names = ScriptOutput.levelNames.joined(separator: " ")
      throw CommandError("log levels must be either of [\(names)]")
    }
    output.level = level
  }

  private mutating func tick(_ at: Int, _ count: Int) {
    for _ in 0..<count { nodes[at].raw.tick() }
  }

  private mutating func compact(_ block: ScriptBlock) throws {
    let at = try firstNode(block)
    guard block.arguments.count > 1 else { throw block.failure("missing index") }
    let index: UInt64
    do {
      index = try GoParsing.uint(block.arguments[1].key)
    } catch {
      throw CommandError(error)
    }
    try reporting { try nodes[at].raw.storage.memory.compact(to: index) }
    try raftLog(at)
  }

  private func raftLog(_ at: Int) throws {
    let log = nodes[at].raw.storage.memory
    if log.lastIndex < log.firstIndex {
      output.write("log is empty: first index=\(log.firstIndex), last index=\(log.lastIndex)")
      return
    }
    try reporting {
      let all = try log.entries(log.firstIndex, log.lastIndex + 1, maxSize: .max)
      output.write(RaftText.describe(all))
    }
  }

  private func raftState() {
    for node in nodes {
      let status = node.raw.status
      let isVoter = status.config.voters.contains(status.basic.id)
      output.write(
        "\(status.basic.id): \(status.basic.softState.role) "
          + "\(isVoter ? "(Voter)" : "(Non-Voter)") Term:\(status.basic.hardState.term) "
          + "Lead:\(status.basic.softState.lead)\n")
    }
  }

  private mutating func transferLeadership(_ block: ScriptBlock) throws {
    guard let from = block.values("from").first, let to = block.values("to").first else {
      throw block.failure("expected from= and to=")
    }
    let target = try node(to, block)
    let at = try node(from, block)
    nodes[at].raw.transferLeader(to: UInt64(target + 1))
  }

  private mutating func sendSnapshot(_ block: ScriptBlock) throws {
    let list = try nodeList(block)
    guard list.count == 2 else { throw block.failure("expected two nodes") }
    let from = nodes[list[0]].raw
    let message = Raftpb.Message(
      type: .snap, to: UInt64(list[1] + 1), from: from.id,
      term: from.basicStatus.hardState.term, snapshot: try from.storage.snapshot())
    messages.append(message)
    output.write(RaftText.describe(message))
  }

  private mutating func propose(_ block: ScriptBlock) throws {
    let at = try firstNode(block)
    guard block.arguments.count == 2, block.arguments[1].values.isEmpty else {
      throw block.failure("expected exactly one key with no values")
    }
    try reporting { try nodes[at].raw.propose([Bytes(block.arguments[1].key)]) }
  }

  private mutating func reportUnreachable(_ block: ScriptBlock) throws {
    let list = try nodeList(block)
    guard list.count == 2 else {
      throw CommandError(
        "must specify exactly two node indexes: node on which to report, and reported node")
    }
    nodes[list[0]].raw.reportUnreachable(UInt64(list[1] + 1))
  }

  private mutating func proposeConfChange(_ block: ScriptBlock) throws {
    let at = try firstNode(block)
    var isV1 = false
    var transition = Raftpb.ConfChangeTransition.auto
    for argument in block.arguments.dropFirst() {
      for value in argument.values {
        switch argument.key {
        case "v1":
          guard let parsed = GoParsing.bool(value) else {
            throw CommandError("strconv.ParseBool: parsing \"\(value)\": invalid syntax")
          }
          isV1 = parsed
        case "transition":
          let known: [String: Raftpb.ConfChangeTransition] = [
            "auto": .auto, "implicit": .jointImplicit, "explicit": .jointExplicit,
          ]
          guard let found = known[value] else {
            throw CommandError("unknown transition \(value)")
          }
          transition = found
        default: throw CommandError("unknown command \(argument.key)")
        }
      }
    }
    let changes: [Raftpb.ConfChangeSingle]
    do { changes = try parseConfChanges(block.input) } catch { throw CommandError(error) }
    let proposal: ConfChangeProposal
    if isV1 {
      if changes.count > 1 || transition != .auto {
        throw CommandError("v1 conf change can only have one operation and no transition")
      }
      guard let change = changes.first else { throw block.failure("no change") }
      proposal = .v1(Raftpb.ConfChange(type: change.type, nodeID: change.nodeID))
    } else {
      proposal = .v2(Raftpb.ConfChangeV2(transition: transition, changes: changes))
    }
    try reporting { try nodes[at].raw.proposeConfChange(proposal) }
  }
}
