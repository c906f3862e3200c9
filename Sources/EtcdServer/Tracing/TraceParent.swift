import Bytes

/// What a client says of the trace that its call belongs to.
///
/// - Source: W3C Trace Context, `traceparent`, version 00.
struct TraceParent: Sendable, Equatable {
  /// 16 bytes, not all of them zero.
  let trace: Bytes
  /// 8 bytes, not all of them zero: the span of the client.
  let span: Bytes
  /// Whether the client records it.
  let isSampled: Bool

  /// Reads `00-TRACE-SPAN-FLAGS`; `nil` for anything else. Later versions may have more behind the flags.
  init?(_ text: String) {
    let parts = text.split(separator: "-", omittingEmptySubsequences: false)
    guard parts.count >= 4, let version = Self.bytes(parts[0], 1), version[0] != 0xff,
      version[0] > 0 || parts.count == 4, let trace = Self.bytes(parts[1], 16),
      let span = Self.bytes(parts[2], 8), let flags = Self.bytes(parts[3], 1),
      trace.contains(where: { $0 != 0 }), span.contains(where: { $0 != 0 })
    else { return nil }
    self.trace = trace
    self.span = span
    isSampled = flags[0] & 1 == 1
  }

  private static func bytes(_ text: Substring, _ count: Int) -> Bytes? {
    let digits = Array(text.utf8)
    guard digits.count == 2 * count else { return nil }
    var out = ByteWriter(capacity: count)
    for at in stride(from: 0, to: digits.count, by: 2) {
      // Digits are in lower case.
      guard !(0x41...0x46).contains(digits[at]), !(0x41...0x46).contains(digits[at + 1]),
        let high = digits[at].hexValue, let low = digits[at + 1].hexValue
      else { return nil }
      out.append(high << 4 | low)
    }
    return out.finish()
  }
}

/// Which calls are recorded: those that their clients record, and of those that belong to no trace a share.
///
/// - Source: OpenTelemetry `ParentBased(TraceIDRatioBased)`.
struct TraceSampling: Sendable {
  /// Calls of a million.
  let rate: Int

  func records(_ parent: TraceParent?, trace: Bytes) -> Bool {
    if let parent { return parent.isSampled }
    guard rate > 0 else { return false }
    guard rate < 1_000_000 else { return true }
    let number = trace.suffix(8).reduce(UInt64(0)) { $0 << 8 | UInt64($1) } >> 1
    let bound = Double(rate) / 1_000_000 * Double(UInt64(1) << 63)
    return Double(number) < bound
  }
}
