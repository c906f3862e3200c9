import Bytes
import GoText

/// How lines look.
public enum LogEncoding: Sendable {
  /// One JSON object a line, keys as zap's: level, ts, logger, caller, msg, then the fields.
  case json
  /// Tab separated: ts, level, logger, caller, msg, then the fields as one JSON object.
  case console
}

/// Everything of one line. Pure; tested without a file.
struct LogLine {
  let level: LogLevel
  /// Microseconds since 1970-01-01 UTC.
  let microseconds: Int64
  let logger: String
  let file: StaticString
  let line: UInt
  let message: String
  let fields: [LogField]

  /// The encoded line with its line feed.
  func encoded(_ encoding: LogEncoding) -> Bytes {
    var out = ByteWriter(capacity: 256)
    switch encoding {
    case .json:
      out.append("{\"level\":\"\(level)\",\"ts\":\"")
      appendTime(&out)
      out.append("\",")
      if !logger.isEmpty {
        out.append("\"logger\":")
        JSONText.append(logger, to: &out)
        out.append(",")
      }
      out.append("\"caller\":\"\(file):\(line)\",\"msg\":")
      JSONText.append(message, to: &out)
      for field in fields { append(field, first: false, &out) }
      out.append("}\n")
    case .console:
      appendTime(&out)
      out.append("\t\(level)\t")
      if !logger.isEmpty { out.append(logger + "\t") }
      out.append("\(file):\(line)\t")
      out.append(message)
      if !fields.isEmpty {
        out.append("\t{")
        for (index, field) in fields.enumerated() { append(field, first: index == 0, &out) }
        out.append("}")
      }
      out.append("\n")
    }
    return out.finish()
  }

  private func append(_ field: LogField, first: Bool, _ out: inout ByteWriter) {
    if !first { out.append(UInt8(ascii: ",")) }
    JSONText.append(field.key, to: &out)
    out.append(UInt8(ascii: ":"))
    switch field.value {
    case .string(let text): JSONText.append(text, to: &out)
    case .int(let value): out.append(String(value))
    case .uint(let value): out.append(String(value))
    case .bool(let value): out.append(value ? "true" : "false")
    case .double(let value):
      if value.isFinite {
        out.append(FloatText.fixed(value))
      } else {
        JSONText.append(FloatText.general(value), to: &out)
      }
    case .duration(let value): JSONText.append(value.goDescription, to: &out)
    case .error(let error): JSONText.append("\(error)", to: &out)
    case .strings(let texts):
      out.append(UInt8(ascii: "["))
      for (index, text) in texts.enumerated() {
        if index > 0 { out.append(UInt8(ascii: ",")) }
        JSONText.append(text, to: &out)
      }
      out.append(UInt8(ascii: "]"))
    }
  }

  /// `2006-01-02T15:04:05.000000Z`.
  private func appendTime(_ out: inout ByteWriter) {
    CivilTime(microsecondsSinceEpoch: microseconds).writeRFC3339(to: &out, fraction: .microseconds)
  }
}

/// JSON strings as zap writes them: only what JSON demands is escaped.
enum JSONText {
  static func append(_ text: String, to out: inout ByteWriter) {
    out.append(UInt8(ascii: "\""))
    for byte in text.utf8 {
      switch byte {
      case UInt8(ascii: "\""), UInt8(ascii: "\\"):
        out.append(UInt8(ascii: "\\"))
        out.append(byte)
      case 0x0a: out.append("\\n")
      case 0x0d: out.append("\\r")
      case 0x09: out.append("\\t")
      case 0..<0x20:
        let hex = String(byte, radix: 16)
        out.append("\\u00" + (hex.count == 1 ? "0" : "") + hex)
      default: out.append(byte)
      }
    }
    out.append(UInt8(ascii: "\""))
  }
}
