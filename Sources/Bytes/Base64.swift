/// A coding of RFC 4648.
public struct Base64: Sendable {
  /// The usual alphabet, padded.
  public static let standard = Base64(.standard, isPadded: true)
  /// The usual alphabet without padding.
  public static let rawStandard = Base64(.standard, isPadded: false)
  /// The alphabet for URLs and names of files, without padding.
  public static let rawURL = Base64(.url, isPadded: false)

  private enum Alphabet { case standard, url }

  private let alphabet: Alphabet
  private let isPadded: Bool

  private init(_ alphabet: Alphabet, isPadded: Bool) {
    self.alphabet = alphabet
    self.isPadded = isPadded
  }

  /// Appends the text of `bytes`.
  public func write(_ bytes: Bytes, to out: inout ByteWriter) {
    bytes.withUnsafeBytes { source in
      let whole = source.count / 3 * 3
      out.append(uninitialized: whole / 3 * 4) { target in
        var to = 0
        for from in stride(from: 0, to: whole, by: 3) {
          let group =
            UInt32(source[from]) << 16 | UInt32(source[from + 1]) << 8 | UInt32(source[from + 2])
          target[to] = digit(group >> 18)
          target[to + 1] = digit(group >> 12)
          target[to + 2] = digit(group >> 6)
          target[to + 3] = digit(group)
          to += 4
        }
      }
      let left = source.count - whole
      guard left > 0 else { return }
      let group = UInt32(source[whole]) << 16 | (left > 1 ? UInt32(source[whole + 1]) << 8 : 0)
      out.append(digit(group >> 18))
      out.append(digit(group >> 12))
      if left > 1 { out.append(digit(group >> 6)) }
      if isPadded { out.append(repeating: UInt8(ascii: "="), count: 3 - left) }
    }
  }

  /// The text of `bytes`.
  public func encode(_ bytes: Bytes) -> Bytes {
    var out = ByteWriter(capacity: bytes.count * 4 / 3 + 4)
    write(bytes, to: &out)
    return out.finish()
  }

  /// Reads a text of this coding.
  /// - Returns: `nil` for other characters, wrong padding or an impossible length.
  public func decode(_ text: Bytes) -> Bytes? {
    var count = text.count
    if isPadded {
      guard count % 4 == 0 else { return nil }
      for _ in 0..<2 where count > 0 && text[count - 1] == UInt8(ascii: "=") { count -= 1 }
    }
    guard count % 4 != 1 else { return nil }
    var out = ByteWriter(capacity: count * 3 / 4 + 1)
    var group: UInt32 = 0
    var bits = 0
    for character in text[..<count] {
      guard let value = value(character) else { return nil }
      group = group << 6 | value
      bits += 6
      if bits >= 8 {
        bits -= 8
        out.append(UInt8(truncatingIfNeeded: group >> UInt32(bits)))
      }
    }
    return out.finish()
  }

  /// What is wrong with a text: where.
  public struct IllegalByte: Error, Equatable {
    public let offset: Int
    public init(offset: Int) { self.offset = offset }
  }

  /// Reads a padded text of the usual alphabet, in which lines may break anywhere.
  /// - Throws: where it goes wrong, as Go says it.
  /// - Source: Go `encoding/base64`, `StdEncoding.decodeQuantum`.
  public static func decodeLines(_ text: Bytes) throws(IllegalByte) -> Bytes {
    var out = ByteWriter(capacity: text.count / 4 * 3 + 3)
    var group: UInt32 = 0
    var inGroup = 0
    var at = 0
    func isLineBreak(_ at: Int) -> Bool {
      text[at] == UInt8(ascii: "\n") || text[at] == UInt8(ascii: "\r")
    }
    while at < text.count {
      if let value = standard.value(text[at]) {
        group = group << 6 | value
        inGroup += 1
        if inGroup == 4 {
          for shift: UInt32 in [16, 8, 0] { out.append(UInt8(truncatingIfNeeded: group >> shift)) }
          (group, inGroup) = (0, 0)
        }
      } else if !isLineBreak(at) {
        guard text[at] == padding, inGroup > 1 else { throw IllegalByte(offset: at) }
        break
      }
      at += 1
    }
    if inGroup == 0 { return out.finish() }
    guard at < text.count else { throw IllegalByte(offset: at - inGroup) }
    // Behind two characters a second `=` has to follow.
    at += 1
    if inGroup == 2 {
      while at < text.count, isLineBreak(at) { at += 1 }
      guard at < text.count else { throw IllegalByte(offset: text.count) }
      guard text[at] == padding else { throw IllegalByte(offset: at - 1) }
      at += 1
    }
    while at < text.count, isLineBreak(at) { at += 1 }
    guard at == text.count else { throw IllegalByte(offset: at) }
    out.append(UInt8(truncatingIfNeeded: group >> (inGroup == 2 ? 4 : 10)))
    if inGroup == 3 { out.append(UInt8(truncatingIfNeeded: group >> 2)) }
    return out.finish()
  }

  private static let padding = UInt8(ascii: "=")

  private func digit(_ bits: UInt32) -> UInt8 {
    let value = UInt8(truncatingIfNeeded: bits & 0x3f)
    return switch value {
    case 0..<26: UInt8(ascii: "A") + value
    case 26..<52: UInt8(ascii: "a") + value - 26
    case 52..<62: UInt8(ascii: "0") + value - 52
    case 62: alphabet == .url ? UInt8(ascii: "-") : UInt8(ascii: "+")
    default: alphabet == .url ? UInt8(ascii: "_") : UInt8(ascii: "/")
    }
  }

  private func value(_ character: UInt8) -> UInt32? {
    switch character {
    case UInt8(ascii: "A")...UInt8(ascii: "Z"): UInt32(character) - 65
    case UInt8(ascii: "a")...UInt8(ascii: "z"): UInt32(character) - 97 + 26
    case UInt8(ascii: "0")...UInt8(ascii: "9"): UInt32(character) - 48 + 52
    case UInt8(ascii: "+"): alphabet == .url ? nil : 62
    case UInt8(ascii: "/"): alphabet == .url ? nil : 63
    case UInt8(ascii: "-"): alphabet == .standard ? nil : 62
    case UInt8(ascii: "_"): alphabet == .standard ? nil : 63
    default: nil
    }
  }
}
