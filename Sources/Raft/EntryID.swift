import EtcdAPI
import Protobuf

/// Names a log entry: a leader issues one entry an index, and a term has one leader, so term and
/// index together identify the entry (Raft thesis §3.5, Log Matching).
struct EntryID: Hashable, Sendable {
  var term: UInt64
  var index: UInt64
}

extension Raftpb.Entry {
  var id: EntryID { EntryID(term: term, index: index) }
}

extension Raftpb.MessageType {
  /// Whether only the member itself creates such messages.
  var isLocal: Bool {
    switch self {
    case .hup, .beat, .unreachable, .snapStatus, .checkQuorum, .storageAppend, .storageAppendResp,
      .storageApply, .storageApplyResp:
      true
    default: false
    }
  }

  /// Whether the message answers one of ours and so must come from a known member.
  var isResponse: Bool {
    switch self {
    case .appResp, .voteResp, .heartbeatResp, .unreachable, .readIndexResp, .preVoteResp,
      .storageAppendResp, .storageApplyResp:
      true
    default: false
    }
  }

  /// Whether a correct member always puts its term on such a message.
  var carriesTerm: Bool {
    switch self {
    case .app, .appResp, .vote, .voteResp, .preVote, .preVoteResp, .heartbeat, .heartbeatResp,
      .timeoutNow:
      true
    default: false
    }
  }
}

extension Raftpb.Entry {
  /// Bytes this entry counts against size limits: its protobuf encoding without a default type, as
  /// etcd-io/raft counts.
  var limitSize: UInt64 {
    func varint(_ value: UInt64) -> Int { (70 - (value | 1).leadingZeroBitCount) / 7 }
    let typed = type == .normal ? 0 : 2
    let payload = data.isEmpty ? 0 : 1 + varint(UInt64(data.count)) + data.count
    return UInt64(2 + typed + varint(term) + varint(index) + payload)
  }
}

/// Sum of what the entries count against size limits.
func limitSize(_ entries: some Collection<Raftpb.Entry>) -> UInt64 {
  entries.reduce(0) { $0 + $1.limitSize }
}

/// Sum of the payloads; what a leader appends on its own account counts nothing.
func payloadSize(_ entries: some Collection<Raftpb.Entry>) -> UInt64 {
  entries.reduce(0) { $0 + UInt64($1.data.count) }
}

extension Raftpb.HardState {
  var isEmpty: Bool { self == Raftpb.HardState() }
}

extension Raftpb.Snapshot {
  /// Whether there is no snapshot in it.
  var isEmpty: Bool { metadata.index == 0 }
}
