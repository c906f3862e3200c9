/// Counts what arrives on an HTTP/2 connection and keeps none of it. Pure.
struct FrameScanner {
  /// Bytes in DATA frames.
  private(set) var dataBytes = 0
  /// Streams that the peer ended.
  private(set) var endedStreams = 0
  /// SETTINGS and PING payloads that want an acknowledgement.
  private(set) var settingsToAcknowledge = 0
  private(set) var pingsToAcknowledge: [[UInt8]] = []
  /// Why the connection is of no use any more.
  private(set) var failure: String?

  /// RFC 9113 §4.1: length in 3 bytes, type, flags, stream in 4.
  private static let headBytes = 9
  /// Gets the payload of DATA frames, piece by piece, with the stream's number.
  var onData: ((_ stream: UInt32, UnsafeRawBufferPointer) -> Void)?
  private var head: [UInt8] = []
  private var left = 0
  /// Payload of a short frame that is looked at.
  private var kept: [UInt8] = []

  private enum FrameType {
    static let data: UInt8 = 0
    static let headers: UInt8 = 1
    static let reset: UInt8 = 3
    static let settings: UInt8 = 4
    static let ping: UInt8 = 6
    static let goAway: UInt8 = 7
  }

  mutating func feed(_ memory: UnsafeRawBufferPointer) {
    var rest = memory[...]
    while !rest.isEmpty {
      if head.count < Self.headBytes {
        let taken = rest.prefix(Self.headBytes - head.count)
        head.append(contentsOf: taken)
        rest = rest.dropFirst(taken.count)
        guard head.count == Self.headBytes else { return }
        left = Int(head[0]) << 16 | Int(head[1]) << 8 | Int(head[2])
        kept = []
      }
      let payload = rest.prefix(left)
      if head[3] == FrameType.data {
        dataBytes += payload.count
        if let onData, !payload.isEmpty {
          onData(stream, UnsafeRawBufferPointer(rebasing: payload))
        }
      }
      if head[3] == FrameType.ping || head[3] == FrameType.reset {
        kept.append(contentsOf: payload)
      }
      left -= payload.count
      rest = rest.dropFirst(payload.count)
      if left == 0 { endFrame() }
    }
  }

  /// The stream of the frame that arrives.
  private var stream: UInt32 {
    head[5...].reduce(0) { $0 << 8 | UInt32($1) } & 0x7fff_ffff
  }

  private mutating func endFrame() {
    let (type, flags) = (head[3], head[4])
    let isMarked = flags & 1 != 0
    switch type {
    case FrameType.data, FrameType.headers: if isMarked { endedStreams += 1 }
    case FrameType.settings: if !isMarked { settingsToAcknowledge += 1 }
    case FrameType.ping: if !isMarked { pingsToAcknowledge.append(kept) }
    case FrameType.reset: failure = "the server reset stream \(stream) with code \(kept.last ?? 0)"
    case FrameType.goAway: failure = "the server sent GOAWAY"
    default: break
    }
    head.removeAll(keepingCapacity: true)
  }

  mutating func acknowledged() { (settingsToAcknowledge, pingsToAcknowledge) = (0, []) }
}
