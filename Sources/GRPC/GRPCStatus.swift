import Bytes

/// gRPC status codes.
public enum GRPCCode: Int, Sendable, CaseIterable, CustomStringConvertible {
  case ok = 0
  case cancelled, unknown, invalidArgument, deadlineExceeded, notFound, alreadyExists
  case permissionDenied, resourceExhausted, failedPrecondition, aborted, outOfRange
  case unimplemented, `internal`, unavailable, dataLoss, unauthenticated

  /// grpc-go's names, as in its logs and metrics.
  public var description: String {
    switch self {
    case .ok: "OK"
    case .cancelled: "Canceled"
    case .unknown: "Unknown"
    case .invalidArgument: "InvalidArgument"
    case .deadlineExceeded: "DeadlineExceeded"
    case .notFound: "NotFound"
    case .alreadyExists: "AlreadyExists"
    case .permissionDenied: "PermissionDenied"
    case .resourceExhausted: "ResourceExhausted"
    case .failedPrecondition: "FailedPrecondition"
    case .aborted: "Aborted"
    case .outOfRange: "OutOfRange"
    case .unimplemented: "Unimplemented"
    case .internal: "Internal"
    case .unavailable: "Unavailable"
    case .dataLoss: "DataLoss"
    case .unauthenticated: "Unauthenticated"
    }
  }

  /// The code a client derives from an HTTP status without gRPC status.
  /// - Source: gRPC "HTTP to gRPC status code mapping".
  init(httpStatus: Int) {
    switch httpStatus {
    case 400: self = .internal
    case 401: self = .unauthenticated
    case 403: self = .permissionDenied
    case 404: self = .unimplemented
    case 429, 502, 503, 504: self = .unavailable
    default: self = .unknown
    }
  }
}

/// How a call ended.
public struct GRPCStatus: Error, Sendable, Equatable, CustomStringConvertible {
  public var code: GRPCCode
  public var message: String
  /// Content of `grpc-status-details-bin`: an encoded `google.rpc.Status`.
  public var details: Bytes?

  public init(_ code: GRPCCode, _ message: String = "", details: Bytes? = nil) {
    self.code = code
    self.message = message
    self.details = details
  }

  public static let ok = GRPCStatus(.ok)
  public static let cancelled = GRPCStatus(.cancelled, "context canceled")
  public static let deadlineExceeded = GRPCStatus(.deadlineExceeded, "context deadline exceeded")

  /// No server has looked at the call: it may be sent again, whatever it asks for.
  public static let unprocessed = GRPCStatus(.unavailable, "the stream is refused by the server")

  /// grpc-go's text of an RPC error.
  public var description: String { "rpc error: code = \(code) desc = \(message)" }

  /// The status of any error a handler throws.
  init(_ error: any Error) {
    if let status = error as? GRPCStatus {
      self = status
    } else if error is CancellationError {
      self = .cancelled
    } else {
      self = GRPCStatus(.unknown, "\(error)")
    }
  }
}

/// Percent coding of `grpc-message`: printable ASCII except the percent sign stays.
enum PercentCoding {
  static func encode(_ text: String) -> Bytes {
    var out = ByteWriter(capacity: text.utf8.count)
    let hex: StaticString = "0123456789ABCDEF"
    for byte in text.utf8 {
      if byte >= 0x20 && byte < 0x7f && byte != 0x25 {
        out.append(byte)
      } else {
        out.append(0x25)
        out.append(hex.utf8Start[Int(byte >> 4)])
        out.append(hex.utf8Start[Int(byte & 15)])
      }
    }
    return out.finish()
  }

  /// Malformed escapes stay as they are.
  static func decode(_ bytes: Bytes) -> String {
    var out = ByteWriter(capacity: bytes.count)
    var at = 0
    while at < bytes.count {
      if bytes[at] == 0x25, at + 2 < bytes.count, let high = bytes[at + 1].hexValue,
        let low = bytes[at + 2].hexValue
      {
        out.append(high << 4 | low)
        at += 3
      } else {
        out.append(bytes[at])
        at += 1
      }
    }
    return out.finish().string
  }
}
