import Bytes
import Protobuf

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
