/// The two long-lived streams between members.
///
/// - Source: etcd rafthttp: MsgApp travels in a compact format of its own, so that a large batch of
///   entries never waits in front of a heartbeat.
public enum StreamKind: Sendable, Hashable, CaseIterable {
  /// Only MsgApp, in the msgapp v2 format.
  case msgAppV2
  /// All other messages, each with its length in front.
  case message

  /// Path of the endpoint; the dialler's member ID follows.
  public var path: String {
    switch self {
    case .msgAppV2: "/raft/stream/msgapp"
    case .message: "/raft/stream/message"
    }
  }

  /// The name in logs.
  public var name: String {
    switch self {
    case .msgAppV2: "stream MsgApp v2"
    case .message: "stream Message"
    }
  }

  /// The queue's name in logs about dropped messages.
  var queueName: String {
    switch self {
    case .msgAppV2: "streamMsgAppV2"
    case .message: "streamMsg"
    }
  }
}
