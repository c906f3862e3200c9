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
  public init(httpStatus: Int) {
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
  public init(_ error: any Error) {
    if let status = error as? GRPCStatus {
      self = status
    } else if error is CancellationError {
      self = .cancelled
    } else {
      self = GRPCStatus(.unknown, "\(error)")
    }
  }
}
