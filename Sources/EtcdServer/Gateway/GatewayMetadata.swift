import Bytes
import Calls
import GRPC
import HTTP
import Protobuf

/// What a request's header fields become as metadata of its call.
///
/// - Source: grpc-gateway 1.16, `runtime.AnnotateContext`, `DefaultHeaderMatcher`.
enum GatewayMetadata {
  /// Fields with this prefix go on without it; fields of HTTP's own with another one.
  private static let prefix = "grpc-metadata-"
  private static let ownPrefix = "grpcgateway-"

  /// Fields that HTTP itself defines, but for those that are of no use behind it.
  private static let own: Set = [
    "accept", "accept-charset", "accept-language", "accept-ranges", "authorization",
    "cache-control", "content-type", "cookie", "date", "expect", "from", "host", "if-match",
    "if-modified-since", "if-none-match", "if-schedule-tag-match", "if-unmodified-since",
    "max-forwards", "origin", "pragma", "referer", "user-agent", "via", "warning",
  ]

  /// - Throws: for a value that is no base64 where it must be.
  static func metadata(_ headers: HTTPHeaders) throws(GRPCStatus) -> Metadata {
    var metadata = Metadata()
    for (name, value) in headers.fields {
      let name = name.lowercased()
      if name == "authorization" { metadata.add(name, value) }
      if own.contains(name) {
        metadata.add(ownPrefix + name, value)
      } else if name.hasPrefix(prefix) {
        let name = String(name.dropFirst(prefix.count))
        guard Metadata.isBinary(Bytes(name)) else {
          metadata.add(name, value)
          continue
        }
        guard let plain = Metadata.decodeBinary(Bytes(value)) else {
          throw GRPCStatus(.invalidArgument, "invalid binary header \(name): \(value)")
        }
        metadata.add(name, plain)
      }
    }
    return metadata
  }

  /// Nanoseconds that the client waits; `nil` when it does not say.
  static func timeout(_ headers: HTTPHeaders) throws(GRPCStatus) -> UInt64? {
    guard let text = headers["grpc-timeout"], !text.isEmpty else { return nil }
    let nanoseconds = Array(text.utf8).withUnsafeBufferPointer { TimeoutCoding.decode($0) }
    guard let nanoseconds else {
      throw GRPCStatus(.invalidArgument, "invalid grpc-timeout: \(text)")
    }
    return nanoseconds
  }
}
