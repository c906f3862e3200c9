import Bytes
import Calls
import Protobuf

/// A message as it came.
struct DeframedMessage {
  let bytes: Bytes
  /// What it took on the wire, its prefix included.
  let wireBytes: Int
  let isCompressed: Bool
}

/// Cuts messages out of a stream's DATA bytes. Pure.
///
/// A message that lies inside one piece of input is a slice of it; others are gathered, never
/// allocating more than twice what has arrived.
///
/// - Source: gRPC over HTTP/2, Length-Prefixed-Message.
struct MessageDeframer: ~Copyable {
  private var input = Bytes()
  private var gathering: Gathering?
  private var needed = 0
  private let limit: Int
  /// How messages whose flag is set are coded.
  var coding = Coding.identity

  enum Coding { case identity, gzip }

  init(limit: Int) { self.limit = limit }

  /// Whether the input ends between messages.
  var isAtBoundary: Bool { input.isEmpty && gathering == nil }

  /// Adds input; call `next` until it returns `nil` before adding more.
  mutating func feed(_ bytes: Bytes) {
    precondition(input.isEmpty, "input added before the last was used up")
    input = bytes
  }

  /// The next message.
  /// - Throws: ResourceExhausted above the limit, Internal for malformed ones; grpc-go's texts.
  mutating func next() throws(GRPCStatus) -> DeframedMessage? {
    if let gathering { return try next(gathering) }
    if input.isEmpty { return nil }
    if input.count >= 5 {
      let length = try Self.length(input, limit, coding)
      if input.count >= 5 + length {
        let message = input[5..<(5 + length)]
        let flag = input[0]
        input = input[(5 + length)..<input.count]
        return DeframedMessage(bytes: message, wireBytes: 5 + length, isCompressed: flag != 0)
      }
    }
    let begun = Gathering(capacity: min(Swift.max(input.count * 2, 64), 65_536))
    gathering = begun
    needed = 5
    return try next(begun)
  }

  /// A message that did not come in one piece.
  private final class Gathering {
    var writer: ByteWriter
    init(capacity: Int) { writer = ByteWriter(capacity: capacity) }
    func finish() -> Bytes {
      var taken = ByteWriter(capacity: 16)
      swap(&taken, &writer)
      return taken.finish()
    }
  }

  private mutating func next(_ gathering: Gathering) throws(GRPCStatus) -> DeframedMessage? {
    while true {
      let missing = needed - gathering.writer.count
      let size = min(missing, input.count)
      gathering.writer.append(input[0..<size])
      input = input[size..<input.count]
      guard size == missing else { return nil }
      if needed == 5 {
        let prefix = gathering.writer.withUnsafeBytes { Bytes(copying: $0) }
        needed = 5 + (try Self.length(prefix, limit, coding))
        if needed > 5 { continue }
      }
      self.gathering = nil
      let whole = gathering.finish()
      return DeframedMessage(
        bytes: whole[5..<whole.count], wireBytes: whole.count, isCompressed: whole[0] != 0)
    }
  }

  private static func length(
    _ prefix: Bytes, _ limit: Int, _ coding: Coding
  ) throws(GRPCStatus) -> Int {
    switch prefix[0] {
    case 0: break
    case 1:
      guard coding == .gzip else {
        throw GRPCStatus(.internal, "grpc: compressed flag set with identity or empty encoding")
      }
    default:
      throw GRPCStatus(.internal, "grpc: received unexpected payload format \(prefix[0])")
    }
    let length =
      Int(prefix[1]) << 24 | Int(prefix[2]) << 16 | Int(prefix[3]) << 8 | Int(prefix[4])
    guard length <= limit else { throw tooLarge(length, limit) }
    return length
  }

  static func tooLarge(_ length: Int, _ limit: Int) -> GRPCStatus {
    GRPCStatus(
      .resourceExhausted, "grpc: received message larger than max (\(length) vs. \(limit))")
  }
}
