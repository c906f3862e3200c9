import Bytes
import GoText
import JSON

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
        JSONWriter.writeForLog(logger, to: &out)
        out.append(",")
      }
      out.append("\"caller\":\"\(file):\(line)\",\"msg\":")
      JSONWriter.writeForLog(message, to: &out)
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
    JSONWriter.writeForLog(field.key, to: &out)
    out.append(UInt8(ascii: ":"))
    switch field.value {
    case .string(let text): JSONWriter.writeForLog(text, to: &out)
    case .int(let value): out.append(String(value))
    case .uint(let value): out.append(String(value))
    case .bool(let value): out.append(value ? "true" : "false")
    case .double(let value):
      if value.isFinite {
        out.append(FloatText.fixed(value))
      } else {
        JSONWriter.writeForLog(FloatText.general(value), to: &out)
      }
    case .duration(let value): JSONWriter.writeForLog(value.goDescription, to: &out)
    case .error(let error): JSONWriter.writeForLog("\(error)", to: &out)
    case .strings(let texts):
      out.append(UInt8(ascii: "["))
      for (index, text) in texts.enumerated() {
        if index > 0 { out.append(UInt8(ascii: ",")) }
        JSONWriter.writeForLog(text, to: &out)
      }
      out.append(UInt8(ascii: "]"))
    }
  }

  /// `2006-01-02T15:04:05.000000Z`.
  private func appendTime(_ out: inout ByteWriter) {
    CivilTime(microsecondsSinceEpoch: microseconds).writeRFC3339(to: &out, fraction: .microseconds)
  }
}
