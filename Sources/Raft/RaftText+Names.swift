import EtcdAPI

extension Raftpb.MessageType {
  /// The name in `raft.proto`, or the number when it has none.
  public var text: String {
    switch self {
    case .hup: "MsgHup"
    case .beat: "MsgBeat"
    case .prop: "MsgProp"
    case .app: "MsgApp"
    case .appResp: "MsgAppResp"
    case .vote: "MsgVote"
    case .voteResp: "MsgVoteResp"
    case .snap: "MsgSnap"
    case .heartbeat: "MsgHeartbeat"
    case .heartbeatResp: "MsgHeartbeatResp"
    case .unreachable: "MsgUnreachable"
    case .snapStatus: "MsgSnapStatus"
    case .checkQuorum: "MsgCheckQuorum"
    case .transferLeader: "MsgTransferLeader"
    case .timeoutNow: "MsgTimeoutNow"
    case .readIndex: "MsgReadIndex"
    case .readIndexResp: "MsgReadIndexResp"
    case .preVote: "MsgPreVote"
    case .preVoteResp: "MsgPreVoteResp"
    case .storageAppend: "MsgStorageAppend"
    case .storageAppendResp: "MsgStorageAppendResp"
    case .storageApply: "MsgStorageApply"
    case .storageApplyResp: "MsgStorageApplyResp"
    case .forgetLeader: "MsgForgetLeader"
    case .unrecognized(let value): String(value)
    }
  }
}

extension Raftpb.EntryType {
  /// The name in `raft.proto`, or the number when it has none.
  public var text: String {
    switch self {
    case .normal: "EntryNormal"
    case .confChange: "EntryConfChange"
    case .confChangeV2: "EntryConfChangeV2"
    case .unrecognized(let value): String(value)
    }
  }
}

extension Raftpb.ConfChangeType {
  /// The name in `raft.proto`, or the number when it has none.
  public var text: String {
    switch self {
    case .addNode: "ConfChangeAddNode"
    case .removeNode: "ConfChangeRemoveNode"
    case .updateNode: "ConfChangeUpdateNode"
    case .addLearnerNode: "ConfChangeAddLearnerNode"
    case .unrecognized(let value): String(value)
    }
  }
}

extension Raftpb.ConfChangeTransition {
  /// The name in `raft.proto`, or the number when it has none.
  public var text: String {
    switch self {
    case .auto: "ConfChangeTransitionAuto"
    case .jointImplicit: "ConfChangeTransitionJointImplicit"
    case .jointExplicit: "ConfChangeTransitionJointExplicit"
    case .unrecognized(let value): String(value)
    }
  }
}
