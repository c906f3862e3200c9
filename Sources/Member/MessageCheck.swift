import EtcdAPI

/// Why a message from a peer is not handed on.
public enum MessageFault: String, Sendable {
  case wrongTarget = "message to mismatch member"
  case wrongSender = "message from mismatch member"
  case notContiguous = "entries are not contiguous"
  case notForPeers = "message of a kind that members do not send each other this way"
}

/// Checks what every message that comes in must fulfil, before raft sees it. Pure.
public enum MessageCheck {
  /// - Parameters:
  ///   - peer: the member whose connection carried it; `nil` when it did not say.
  ///   - withDatabase: whether a database comes behind it, which belongs to a snapshot and to nothing
  ///     else: raft would wait for one that never comes.
  public static func fault(
    _ message: Raftpb.Message, local: MemberID, peer: MemberID?, withDatabase: Bool = false
  ) -> MessageFault? {
    guard message.receiver == local else { return .wrongTarget }
    guard isForPeers(message.type), (message.type == .snap) == withDatabase else {
      return .notForPeers
    }
    // Names of raft's own threads, of nobody, and of this member.
    guard message.from != 0, message.sender != local, message.from < .max - 1 else {
      return .wrongSender
    }
    if let peer, message.sender != peer, !isForwarded(message.type) { return .wrongSender }
    guard message.type == .app else { return nil }
    var next = message.index
    for entry in message.entries {
      next &+= 1
      guard entry.index == next else { return .notContiguous }
    }
    return nil
  }

  /// Whether the kind travels between members at all; the others are between raft and its owner.
  private static func isForPeers(_ type: Raftpb.MessageType) -> Bool {
    switch type {
    case .app, .appResp, .vote, .voteResp, .preVote, .preVoteResp, .heartbeat, .heartbeatResp,
      .snap,
      .prop, .readIndex, .readIndexResp, .transferLeader, .timeoutNow:
      true
    default: false
    }
  }

  /// A member that is no longer leader passes these on under the name of whoever asked first.
  private static func isForwarded(_ type: Raftpb.MessageType) -> Bool {
    type == .prop || type == .readIndex || type == .transferLeader
  }
}
