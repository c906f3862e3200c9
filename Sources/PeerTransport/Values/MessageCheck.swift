import EtcdAPI

/// Why a message from a peer is not handed on.
enum MessageFault: String, Sendable {
  case wrongTarget = "message to mismatch member"
  case wrongSender = "message from mismatch member"
  case notContiguous = "entries are not contiguous"
}

/// Checks what every message that comes in must fulfil. Pure.
enum MessageCheck {
  /// - Parameter peer: the member whose connection carried it; `nil` when it did not say.
  static func fault(
    _ message: Raftpb.Message, local: UInt64, peer: UInt64?
  ) -> MessageFault? {
    guard message.to == local else { return .wrongTarget }
    if let peer, message.from != peer, !isForwarded(message.type) { return .wrongSender }
    guard message.type == .app else { return nil }
    var next = message.index
    for entry in message.entries {
      next &+= 1
      guard entry.index == next else { return .notContiguous }
    }
    return nil
  }

  /// A member that is no longer leader passes these on under the name of whoever asked first.
  private static func isForwarded(_ type: Raftpb.MessageType) -> Bool {
    type == .prop || type == .readIndex || type == .transferLeader
  }
}

extension Raftpb.MessageType {
  /// The name in logs.
  var logName: String { protoName ?? String(rawValue) }
}

extension Raftpb.Message {
  /// What keeps a silent stream alive: a heartbeat from nobody to nobody.
  static let linkHeartbeat = Raftpb.Message(type: .heartbeat)

  /// Whether it is a stream's keep-alive rather than raft's.
  public var isLinkHeartbeat: Bool { type == .heartbeat && from == 0 && to == 0 }

  /// Memory a queued message is counted with: payloads and a share for the fields.
  var queuedBytes: Int {
    var size = 128 + context.count + (snapshot?.data.count ?? 0)
    for entry in entries { size += entry.data.count + 32 }
    return size
  }
}
