import Bytes

/// Writes header fields so that a value can never start a new line.
enum HTTPFieldWriter {
  static func append(_ name: String, _ value: String, _ out: inout ByteWriter) {
    for byte in name.utf8 where HeadParser.isToken(byte) { out.append(byte) }
    out.append(": ")
    for byte in value.utf8 { out.append(byte == 0x0d || byte == 0x0a || byte == 0 ? 0x20 : byte) }
    out.append("\r\n")
  }
}
