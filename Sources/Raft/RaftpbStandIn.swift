import Bytes

// Stands in for the generated `raftpb` messages until module EtcdAPI is merged.

/// Messages of etcd's `raft.proto` (package `raftpb`).
public enum Raftpb {}

extension Raftpb {
  /// Bytes that do not form the expected message.
  public struct DecodingError: Error, Hashable, Sendable {
    public init() {}
  }

  /// Kind of a log entry.
  public enum EntryType: Sendable, Hashable {
    case normal, confChange, confChangeV2
    case unrecognized(Int32)

    public init(rawValue: Int32) {
      switch rawValue {
      case 0: self = .normal
      case 1: self = .confChange
      case 2: self = .confChangeV2
      default: self = .unrecognized(rawValue)
      }
    }

    public var rawValue: Int32 {
      switch self {
      case .normal: 0
      case .confChange: 1
      case .confChangeV2: 2
      case .unrecognized(let value): value
      }
    }
  }

  /// Kind of a message between members or to a storage thread.
  public enum MessageType: Sendable, Hashable {
    case hup, beat, prop, app, appResp, vote, voteResp, snap, heartbeat, heartbeatResp
    case unreachable, snapStatus, checkQuorum, transferLeader, timeoutNow
    case readIndex, readIndexResp, preVote, preVoteResp
    case storageAppend, storageAppendResp, storageApply, storageApplyResp, forgetLeader
    case unrecognized(Int32)

    static let known: [MessageType] = [
      .hup, .beat, .prop, .app, .appResp, .vote, .voteResp, .snap, .heartbeat, .heartbeatResp,
      .unreachable, .snapStatus, .checkQuorum, .transferLeader, .timeoutNow, .readIndex,
      .readIndexResp, .preVote, .preVoteResp, .storageAppend, .storageAppendResp, .storageApply,
      .storageApplyResp, .forgetLeader,
    ]

    public init(rawValue: Int32) {
      let isKnown = rawValue >= 0 && rawValue < Int32(Self.known.count)
      self = isKnown ? Self.known[Int(rawValue)] : .unrecognized(rawValue)
    }

    public var rawValue: Int32 {
      switch self {
      case .hup: 0
      case .beat: 1
      case .prop: 2
      case .app: 3
      case .appResp: 4
      case .vote: 5
      case .voteResp: 6
      case .snap: 7
      case .heartbeat: 8
      case .heartbeatResp: 9
      case .unreachable: 10
      case .snapStatus: 11
      case .checkQuorum: 12
      case .transferLeader: 13
      case .timeoutNow: 14
      case .readIndex: 15
      case .readIndexResp: 16
      case .preVote: 17
      case .preVoteResp: 18
      case .storageAppend: 19
      case .storageAppendResp: 20
      case .storageApply: 21
      case .storageApplyResp: 22
      case .forgetLeader: 23
      case .unrecognized(let value): value
      }
    }
  }

  /// What a single configuration change does.
  public enum ConfChangeType: Sendable, Hashable {
    case addNode, removeNode, updateNode, addLearnerNode
    case unrecognized(Int32)

    public init(rawValue: Int32) {
      switch rawValue {
      case 0: self = .addNode
      case 1: self = .removeNode
      case 2: self = .updateNode
      case 3: self = .addLearnerNode
      default: self = .unrecognized(rawValue)
      }
    }

    public var rawValue: Int32 {
      switch self {
      case .addNode: 0
      case .removeNode: 1
      case .updateNode: 2
      case .addLearnerNode: 3
      case .unrecognized(let value): value
      }
    }
  }

  /// How a configuration change is carried out.
  public enum ConfChangeTransition: Sendable, Hashable {
    case auto, jointImplicit, jointExplicit
    case unrecognized(Int32)

    public init(rawValue: Int32) {
      switch rawValue {
      case 0: self = .auto
      case 1: self = .jointImplicit
      case 2: self = .jointExplicit
      default: self = .unrecognized(rawValue)
      }
    }

    public var rawValue: Int32 {
      switch self {
      case .auto: 0
      case .jointImplicit: 1
      case .jointExplicit: 2
      case .unrecognized(let value): value
      }
    }
  }
}
