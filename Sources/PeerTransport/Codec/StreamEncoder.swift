import Bytes
import EtcdAPI
import Protobuf

/// Writes messages in the format of a stream. Pure; the entries are copied once, into `out`.
///
/// - Source: etcd rafthttp. Message stream: big-endian length and the message. Msgapp v2: a type
///   byte; 0 keep-alive; 1 entries that follow on the ones sent before, as count, each entry with
///   its length, and the commit index; 2 a whole MsgApp with its length.
public struct StreamEncoder: Sendable {
  public let kind: StreamKind
  /// Term and index after the last message, as both ends remember them.
  private var term: UInt64 = 0
  private var index: UInt64 = 0

  public init(_ kind: StreamKind) { self.kind = kind }

  /// Appends one message.
  public mutating func encode(_ message: Raftpb.Message, into out: inout ByteWriter) {
    guard kind == .msgAppV2 else {
      Self.appendSized(message, &out)
      return
    }
    if message.isLinkHeartbeat {
      out.append(MsgAppFrame.heartbeat)
    } else if message.index == index && message.logTerm == term && message.term == term {
      encodeEntries(message, &out)
    } else {
      out.append(MsgAppFrame.whole)
      Self.appendSized(message, &out)
      term = message.term
      index = message.entries.last?.index ?? message.index
    }
  }

  /// Appends the keep-alive.
  public mutating func encodeHeartbeat(into out: inout ByteWriter) {
    encode(.linkHeartbeat, into: &out)
  }

  private mutating func encodeEntries(_ message: Raftpb.Message, _ out: inout ByteWriter) {
    out.append(MsgAppFrame.entries)
    out.appendBigEndian(UInt64(message.entries.count))
    for entry in message.entries { Self.appendSized(entry, &out) }
    out.appendBigEndian(message.commit)
    index &+= UInt64(message.entries.count)
  }

  private static func appendSized(_ message: some ProtobufMessage, _ out: inout ByteWriter) {
    let at = out.count
    out.appendBigEndian(UInt64(0))
    message.encode(into: &out)
    out.replaceBigEndian(UInt64(out.count - at - 8), at: at)
  }
}

/// Type bytes of the msgapp v2 format.
enum MsgAppFrame {
  static let heartbeat: UInt8 = 0
  static let entries: UInt8 = 1
  static let whole: UInt8 = 2
}
