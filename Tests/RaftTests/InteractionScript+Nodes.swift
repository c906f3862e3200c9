import Bytes
import EtcdAPI

@testable import Raft

extension InteractionScript {
  private static let messageTypes: [Raftpb.MessageType] = [
    .hup, .beat, .prop, .app, .appResp, .vote, .voteResp, .snap, .heartbeat, .heartbeatResp,
    .unreachable, .snapStatus, .checkQuorum, .transferLeader, .timeoutNow, .readIndex,
    .readIndexResp, .preVote, .preVoteResp, .storageAppend, .storageAppendResp, .storageApply,
    .storageApplyResp, .forgetLeader,
  ]

  /// `add-nodes n voters=(…) learners=(…) index=… content=… …`: members that start from a snapshot.
  mutating func addNodes(_ block: ScriptBlock) throws {
    let count = try block.int(try first(block))
    var snapshot = Raftpb.Snapshot()
    var config = RaftConfig(
      id: 1, electionTicks: 3, heartbeatTicks: 1, maxInflightMessages: Int(Int32.max),
      logger: output)
    for argument in block.arguments.dropFirst() {
      for value in argument.values {
        switch argument.key {
        case "voters": snapshot.metadata.confState.voters.append(try block.number(value))
        case "learners": snapshot.metadata.confState.learners.append(try block.number(value))
        case "index":
          snapshot.metadata.index = try block.number(value)
          config.applied = snapshot.metadata.index
        case "content": snapshot.data = Bytes(value)
        default: try configure(&config, argument.key, value, block)
        }
      }
    }
    let isBootstrap = snapshot != Raftpb.Snapshot()
    for _ in 0..<count {
      var storage = Storage()
      if isBootstrap {
        if snapshot.metadata.index <= 1 {
          throw CommandError("index must be specified as > 1 due to bootstrap")
        }
        snapshot.metadata.term = 1
        try reporting { try storage.memory.applySnapshot(snapshot) }
      }
      storage.history = [snapshot]
      config.id = UInt64(nodes.count + 1)
      config.random = SplitMix64(seed: config.id)
      try reporting { nodes.append(Node(raw: try RawNode(config, storage: storage))) }
    }
  }

  private func configure(
    _ config: inout RaftConfig, _ key: String, _ value: String, _ block: ScriptBlock
  ) throws {
    switch key {
    case "inflight": config.maxInflightMessages = try block.int(value)
    case "async-storage-writes": config.asyncStorageWrites = try block.bool(value)
    case "prevote": config.preVote = try block.bool(value)
    case "checkquorum": config.checkQuorum = try block.bool(value)
    case "max-committed-size-per-ready":
      config.maxCommittedSizePerReady = try block.number(value)
    case "disable-conf-change-validation":
      config.disableConfChangeValidation = try block.bool(value)
    case "step-down-on-removal": config.stepDownOnRemoval = try block.bool(value)
    case "read-only":
      switch value {
      case "safe": config.readOnlyOption = .safe
      case "lease-based": config.readOnlyOption = .leaseBased
      default: throw CommandError("invalid read-only option \"\(value)\"")
      }
    default: break
    }
  }

  // MARK: Work of a member

  mutating func processReady(_ at: Int) throws {
    let ready = nodes[at].raw.ready()
    output.write(RaftText.describe(ready))
    let isAsync = nodes[at].raw.config.asyncStorageWrites
    if !isAsync {
      try write(at, ready.hardState ?? Raftpb.HardState(), ready.entries, ready.snapshot)
      try apply(at, ready.committedEntries)
    }
    for message in ready.messages {
      switch message.to {
      case RaftNodeID.appendThread: nodes[at].appendWork.append(message)
      case RaftNodeID.applyThread: nodes[at].applyWork.append(message)
      default: messages.append(message)
      }
    }
    if !isAsync { nodes[at].raw.advance() }
  }

  mutating func processAppendThread(_ at: Int) throws {
    guard !nodes[at].appendWork.isEmpty else {
      output.write("no append work to perform")
      return
    }
    let (work, responses) = begin(nodes[at].appendWork.removeFirst())
    let state = Raftpb.HardState(term: work.term, vote: work.vote, commit: work.commit)
    try write(at, state, work.entries, work.snapshot)
    finish(responses)
  }

  mutating func processApplyThread(_ at: Int) throws {
    guard !nodes[at].applyWork.isEmpty else {
      output.write("no apply work to perform")
      return
    }
    let (work, responses) = begin(nodes[at].applyWork.removeFirst())
    try apply(at, work.entries)
    finish(responses)
  }

  private func begin(_ message: Raftpb.Message) -> (Raftpb.Message, [Raftpb.Message]) {
    var work = message
    work.responses = []
    output.write("Processing:\n\(RaftText.describe(work))\n")
    return (work, message.responses)
  }

  private mutating func finish(_ responses: [Raftpb.Message]) {
    output.write("Responses:\n")
    for response in responses { output.write(RaftText.describe(response) + "\n") }
    messages += responses
  }

  private mutating func write(
    _ at: Int, _ state: Raftpb.HardState, _ entries: [Raftpb.Entry], _ snapshot: Raftpb.Snapshot?
  ) throws {
    if !state.isEmpty { nodes[at].raw.storage.memory.hardState = state }
    if let snapshot, !snapshot.isEmpty {
      if !entries.isEmpty {
        throw CommandError("can't apply snapshot and entries at the same time")
      }
      try reporting { try nodes[at].raw.storage.memory.applySnapshot(snapshot) }
    } else {
      nodes[at].raw.storage.memory.append(entries)
    }
  }

  /// The applied state is all data put together.
  private mutating func apply(_ at: Int, _ entries: [Raftpb.Entry]) throws {
    for entry in entries {
      var update = entry.data
      var state: Raftpb.ConfState?
      try reporting {
        guard let change = try entry.confChange() else { return }
        update = change.context
        state = try nodes[at].raw.applyConfChange(change)
      }
      guard let last = nodes[at].raw.storage.history.last else { return }
      nodes[at].raw.storage.history.append(
        Raftpb.Snapshot(
          data: Bytes(Array(last.data) + Array(update)),
          metadata: Raftpb.SnapshotMetadata(
            confState: state ?? last.metadata.confState, index: entry.index, term: entry.term)))
    }
  }

  // MARK: Messages

  /// `deliver-msgs 1 2 type=MsgApp drop=(3)`.
  mutating func deliverMessages(_ block: ScriptBlock) throws {
    var type: Raftpb.MessageType?
    var recipients: [(id: UInt64, isDropped: Bool)] = []
    for argument in block.arguments {
      if argument.values.isEmpty { recipients.append((try block.number(argument.key), false)) }
      for value in argument.values {
        switch argument.key {
        case "drop":
          let id = try block.number(value)
          if recipients.contains(where: { $0.id == id }) {
            throw block.failure("can't both deliver and drop msgs to \(id)")
          }
          recipients.append((id, true))
        case "type":
          type = Self.messageTypes.first { $0.text == value }
          if type == nil { throw block.failure("unknown message type \(value)") }
        default: break
        }
      }
    }
    var count = 0
    for (id, isDropped) in recipients {
      count += try deliver(to: id, type: type, isDropped: isDropped)
    }
    if count == 0 { output.write("no messages\n") }
  }

  /// Takes messages of a member from the way, in order. Local ones cannot be lost.
  private mutating func take(
    to id: UInt64, type: Raftpb.MessageType?, isDropped: Bool
  ) -> [Raftpb.Message] {
    func isTaken(_ message: Raftpb.Message) -> Bool {
      let isLocal =
        message.from == message.to || RaftNodeID.isLocalThread(message.from)
        || RaftNodeID.isLocalThread(message.to)
      return message.to == id && !(isDropped && isLocal) && (type == nil || message.type == type)
    }
    let taken = messages.filter(isTaken)
    messages.removeAll(where: isTaken)
    return taken
  }

  @discardableResult
  private mutating func deliver(
    to id: UInt64, type: Raftpb.MessageType?, isDropped: Bool
  ) throws -> Int {
    let taken = take(to: id, type: type, isDropped: isDropped)
    for message in taken {
      output.write((isDropped ? "dropped: " : "") + RaftText.describe(message) + "\n")
      if isDropped { continue }
      guard id >= 1, id <= nodes.count else { throw ScriptError("message to missing node \(id)") }
      do {
        try nodes[Int(id) - 1].raw.step(message)
      } catch {
        output.write("\(error)\n")
      }
    }
    return taken.count
  }

  /// `stabilize 1 2 log-level=none`: works and delivers until nothing happens any more.
  mutating func stabilize(_ block: ScriptBlock) throws {
    let level = output.level
    defer { output.level = level }
    for argument in block.arguments where argument.key == "log-level" {
      for value in argument.values { try setLevel(value) }
    }
    var list = try nodeList(block)
    if list.isEmpty { list = Array(nodes.indices) }
    while try stabilizeRound(list) {}
  }

  private mutating func stabilizeRound(_ list: [Int]) throws -> Bool {
    var isDone = true
    for at in list where nodes[at].raw.hasReady {
      output.write("> \(at + 1) handling Ready\n")
      try output.indented { try processReady(at) }
      isDone = false
    }
    for at in list {
      let id = UInt64(at + 1)
      guard messages.contains(where: { $0.to == id }) else { continue }
      output.write("> \(id) receiving messages\n")
      try output.indented { _ = try deliver(to: id, type: nil, isDropped: false) }
      isDone = false
    }
    for at in list where !nodes[at].appendWork.isEmpty {
      output.write("> \(at + 1) processing append thread\n")
      while !nodes[at].appendWork.isEmpty {
        try output.indented { try processAppendThread(at) }
      }
      isDone = false
    }
    for at in list where !nodes[at].applyWork.isEmpty {
      output.write("> \(at + 1) processing apply thread\n")
      while !nodes[at].applyWork.isEmpty {
        try output.indented { try processApplyThread(at) }
      }
      isDone = false
    }
    return !isDone
  }
}
