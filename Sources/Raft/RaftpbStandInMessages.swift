import Bytes

// Stands in for the generated `raftpb` messages until module EtcdAPI is merged.

extension Raftpb {
  /// Message `Entry` of `raft.proto`.
  public struct Entry: Sendable, Hashable {
    public var type: EntryType
    public var term: UInt64
    public var index: UInt64
    public var data: Bytes

    public init(
      type: EntryType = .normal,
      term: UInt64 = 0,
      index: UInt64 = 0,
      data: Bytes = Bytes()
    ) {
      self.type = type
      self.term = term
      self.index = index
      self.data = data
    }
  }
}

extension Raftpb {
  /// Message `SnapshotMetadata` of `raft.proto`.
  public struct SnapshotMetadata: Sendable, Hashable {
    public var confState: ConfState
    public var index: UInt64
    public var term: UInt64

    public init(
      confState: ConfState = ConfState(),
      index: UInt64 = 0,
      term: UInt64 = 0
    ) {
      self.confState = confState
      self.index = index
      self.term = term
    }
  }
}

extension Raftpb {
  /// Message `Snapshot` of `raft.proto`.
  public struct Snapshot: Sendable, Hashable {
    public var data: Bytes
    public var metadata: SnapshotMetadata

    public init(
      data: Bytes = Bytes(),
      metadata: SnapshotMetadata = SnapshotMetadata()
    ) {
      self.data = data
      self.metadata = metadata
    }
  }
}

extension Raftpb {
  /// Message `Message` of `raft.proto`.
  public struct Message: Sendable, Hashable {
    public var type: MessageType
    public var to: UInt64
    public var from: UInt64
    public var term: UInt64
    public var logTerm: UInt64
    public var index: UInt64
    public var entries: [Entry]
    public var commit: UInt64
    public var snapshot: Snapshot?
    public var reject: Bool
    public var rejectHint: UInt64
    public var context: Bytes
    public var vote: UInt64
    public var responses: [Message]

    public init(
      type: MessageType = .hup,
      to: UInt64 = 0,
      from: UInt64 = 0,
      term: UInt64 = 0,
      logTerm: UInt64 = 0,
      index: UInt64 = 0,
      entries: [Entry] = [],
      commit: UInt64 = 0,
      snapshot: Snapshot? = nil,
      reject: Bool = false,
      rejectHint: UInt64 = 0,
      context: Bytes = Bytes(),
      vote: UInt64 = 0,
      responses: [Message] = []
    ) {
      self.type = type
      self.to = to
      self.from = from
      self.term = term
      self.logTerm = logTerm
      self.index = index
      self.entries = entries
      self.commit = commit
      self.snapshot = snapshot
      self.reject = reject
      self.rejectHint = rejectHint
      self.context = context
      self.vote = vote
      self.responses = responses
    }
  }
}

extension Raftpb {
  /// Message `HardState` of `raft.proto`.
  public struct HardState: Sendable, Hashable {
    public var term: UInt64
    public var vote: UInt64
    public var commit: UInt64

    public init(
      term: UInt64 = 0,
      vote: UInt64 = 0,
      commit: UInt64 = 0
    ) {
      self.term = term
      self.vote = vote
      self.commit = commit
    }
  }
}

extension Raftpb {
  /// Message `ConfState` of `raft.proto`.
  public struct ConfState: Sendable, Hashable {
    public var voters: [UInt64]
    public var learners: [UInt64]
    public var votersOutgoing: [UInt64]
    public var learnersNext: [UInt64]
    public var autoLeave: Bool

    public init(
      voters: [UInt64] = [],
      learners: [UInt64] = [],
      votersOutgoing: [UInt64] = [],
      learnersNext: [UInt64] = [],
      autoLeave: Bool = false
    ) {
      self.voters = voters
      self.learners = learners
      self.votersOutgoing = votersOutgoing
      self.learnersNext = learnersNext
      self.autoLeave = autoLeave
    }
  }
}

extension Raftpb {
  /// Message `ConfChange` of `raft.proto`.
  public struct ConfChange: Sendable, Hashable {
    public var id: UInt64
    public var type: ConfChangeType
    public var nodeID: UInt64
    public var context: Bytes

    public init(
      id: UInt64 = 0,
      type: ConfChangeType = .addNode,
      nodeID: UInt64 = 0,
      context: Bytes = Bytes()
    ) {
      self.id = id
      self.type = type
      self.nodeID = nodeID
      self.context = context
    }
  }
}

extension Raftpb {
  /// Message `ConfChangeSingle` of `raft.proto`.
  public struct ConfChangeSingle: Sendable, Hashable {
    public var type: ConfChangeType
    public var nodeID: UInt64

    public init(
      type: ConfChangeType = .addNode,
      nodeID: UInt64 = 0
    ) {
      self.type = type
      self.nodeID = nodeID
    }
  }
}

extension Raftpb {
  /// Message `ConfChangeV2` of `raft.proto`.
  public struct ConfChangeV2: Sendable, Hashable {
    public var transition: ConfChangeTransition
    public var changes: [ConfChangeSingle]
    public var context: Bytes

    public init(
      transition: ConfChangeTransition = .auto,
      changes: [ConfChangeSingle] = [],
      context: Bytes = Bytes()
    ) {
      self.transition = transition
      self.changes = changes
      self.context = context
    }
  }
}
