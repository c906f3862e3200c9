import Bytes
import HTTP

/// A request of the v2 API, for any endpoint.
package struct V2Request: Sendable {
  package var method: String
  /// Begins with a slash, not escaped.
  package var path: Bytes
  /// Names and values, not escaped.
  package var query: [(name: String, value: Bytes)] = []
  /// Sent as it is; `nil` for none.
  package var body: Bytes?
  package var contentType: String?
  /// Whether the answer may take as long as it likes.
  package var isWait = false
  /// Whether a failure counts at once, because the first attempt may have been carried out.
  package var isOneShot = false

  package init(method: String = "GET", path: Bytes) {
    self.method = method
    self.path = path
  }

  /// Path and query as they stand in a request line.
  package var target: String {
    let query = V2Form.encoded(query.sorted { $0.name < $1.name })
    return URLCoding.encodePath(path) + (query.isEmpty ? "" : "?" + query)
  }
}

/// Names and values as a form or a query has them.
///
/// - Source: Go `net/url` `Values.Encode`, `QueryEscape`.
package enum V2Form {
  package static let contentType = "application/x-www-form-urlencoded"

  package static func encoded(_ fields: [(name: String, value: Bytes)]) -> String {
    fields.map { "\($0.name)=\(escaped($0.value))" }.joined(separator: "&")
  }

  private static func escaped(_ bytes: Bytes) -> String {
    let hex = Array("0123456789ABCDEF".utf8)
    var out: [UInt8] = []
    for byte in bytes {
      switch byte {
      case 0x30...0x39, 0x41...0x5a, 0x61...0x7a, 0x2d, 0x2e, 0x5f, 0x7e: out.append(byte)
      case 0x20: out.append(0x2b)
      // checked: four bits
      default: out += [0x25, hex[Int(byte >> 4)], hex[Int(byte & 15)]]
      }
    }
    return String(decoding: out, as: UTF8.self)
  }
}

/// An answer to a request.
package struct V2Answer: Sendable {
  package let status: Int
  package let headers: HTTPHeaders
  package let body: Bytes
}
