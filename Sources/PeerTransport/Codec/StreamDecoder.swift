import Bytes
import EtcdAPI
import Protobuf

/// Input that is not the format of a stream, or more of it than the limits allow.
public enum StreamDecodeError: Error, Sendable, Equatable, CustomStringConvertible {
  case unknownType(UInt8)
  case tooLarge(UInt64, limit: Int)
  case tooManyEntries(UInt64)
  case malformed(ProtobufError)

  public var description: String {
    switch self {
    case .unknownType(let type): "failed to parse type \(type) in msgappv2 stream"
    case .tooLarge: "rafthttp: error limit exceeded"
    case .tooManyEntries(let count): "too many entries in a message: \(count)"
    case .malformed(let error): "\(error)"
    }
  }
}

/// Reads messages of a stream cut anywhere. Pure; bounded by its limit.
///
/// Payloads are copied once into storage of the message's own, so that a log entry never keeps a
/// connection's read buffer. Memory grows with what arrives, not with what a length field claims.
public struct StreamDecoder: ~Copyable {
  /// Largest message, and all entries of one: 512 MiB as etcd.
  public static let messageLimit = 512 * 1024 * 1024
  /// Most entries of one message.
  public static let entriesLimit = 1 << 20
  /// Room made at once for a payload whose length is only claimed.
  private static let reserveLimit = 1 << 20

  private enum State {
    case type
    case messageSize
    case message(left: Int)
    case entryCount
    case entrySize
    case entry(left: Int)
    case commit
  }

  private let kind: StreamKind
  private let local: MemberID
  private let remote: MemberID
  private let limit: Int
  private var state: State
  private var number: UInt64 = 0
  private var numberBytes = 0
  private var payload: ByteWriter?
  private var entryEnds: [Int] = []
  private var entriesLeft = 0
  private var term: UInt64 = 0
  private var index: UInt64 = 0

  /// - Parameters:
  ///   - local: receiver of messages whose format leaves it out.
  ///   - remote: sender of such messages.
  public init(_ kind: StreamKind, local: MemberID, remote: MemberID, limit: Int = messageLimit) {
    self.kind = kind
    self.local = local
    self.remote = remote
    self.limit = limit
    state = kind == .message ? .messageSize : .type
  }

  /// The next message; what it used is taken off `input`, which may be kept-alive messages too.
  /// - Returns: `nil` when more input is needed; `input` is then empty.
  /// - Throws: the stream cannot be read any further.
  public mutating func next(
    _ input: inout Bytes
  ) throws(StreamDecodeError) -> Raftpb.Message? {
    while true {
      switch state {
      case .type:
        guard !input.isEmpty else { return nil }
        let type = input[0]
        input = input[1..<input.count]
        switch type {
        case MsgAppFrame.heartbeat: return .linkHeartbeat
        case MsgAppFrame.entries: state = .entryCount
        case MsgAppFrame.whole: state = .messageSize
        default: throw .unknownType(type)
        }
      case .messageSize:
        guard let size = takeNumber(&input) else { return nil }
        try begin(size, held: 0)
        state = .message(left: Int(size))
      case .message(let left):
        let rest = takePayload(&input, left)
        state = .message(left: rest)
        guard rest == 0 else { return nil }
        return try wholeMessage()
      case .entryCount:
        guard let count = takeNumber(&input) else { return nil }
        guard count <= UInt64(Self.entriesLimit) else { throw .tooManyEntries(count) }
        entriesLeft = Int(count)
        entryEnds.removeAll(keepingCapacity: true)
        state = count == 0 ? .commit : .entrySize
      case .entrySize:
        guard let size = takeNumber(&input) else { return nil }
        try begin(size, held: payload?.count ?? 0)
        state = .entry(left: Int(size))
      case .entry(let left):
        let rest = takePayload(&input, left)
        state = .entry(left: rest)
        guard rest == 0 else { return nil }
        entryEnds.append(payload?.count ?? 0)
        entriesLeft -= 1
        state = entriesLeft == 0 ? .commit : .entrySize
      case .commit:
        guard let commit = takeNumber(&input) else { return nil }
        return try entriesMessage(commit)
      }
    }
  }

  /// Checks a claimed length and makes room for it.
  private mutating func begin(_ size: UInt64, held: Int) throws(StreamDecodeError) {
    guard size <= UInt64(limit), held + Int(size) <= limit else {
      throw .tooLarge(size, limit: limit)
    }
    if payload == nil { payload = ByteWriter(capacity: min(Int(size), Self.reserveLimit)) }
  }

  private mutating func takeNumber(_ input: inout Bytes) -> UInt64? {
    while numberBytes < 8 {
      guard !input.isEmpty else { return nil }
      let wanted = min(8 - numberBytes, input.count)
      for at in 0..<wanted { number = number << 8 | UInt64(input[at]) }
      numberBytes += wanted
      input = input[wanted..<input.count]
    }
    defer {
      number = 0
      numberBytes = 0
    }
    return number
  }

  /// Takes up to `left` bytes; returns how many are missing.
  private mutating func takePayload(_ input: inout Bytes, _ left: Int) -> Int {
    let taken = min(left, input.count)
    if taken > 0 {
      payload?.append(input[0..<taken])
      input = input[taken..<input.count]
    }
    return left - taken
  }

  private mutating func wholeMessage() throws(StreamDecodeError) -> Raftpb.Message {
    state = kind == .message ? .messageSize : .type
    let bytes = payload.take()?.finish() ?? Bytes()
    let message: Raftpb.Message
    do { message = try Raftpb.Message.decode(bytes) } catch { throw .malformed(error) }
    if kind == .msgAppV2 {
      term = message.term
      index = message.entries.last?.index ?? message.index
    }
    return message
  }

  private mutating func entriesMessage(
    _ commit: UInt64
  ) throws(StreamDecodeError) -> Raftpb.Message {
    state = .type
    let bytes = payload.take()?.finish() ?? Bytes()
    var entries: [Raftpb.Entry] = []
    entries.reserveCapacity(entryEnds.count)
    var start = 0
    for end in entryEnds {
      do { entries.append(try Raftpb.Entry.decode(bytes[start..<end])) } catch {
        throw .malformed(error)
      }
      start = end
    }
    let message = Raftpb.Message(
      type: .app, to: local.rawValue, from: remote.rawValue, term: term, logTerm: term,
      index: index,
      entries: entries, commit: commit)
    index &+= UInt64(entries.count)
    return message
  }
}
