import Bytes
import Calls
import HTTP
import JSON
import Protobuf

/// How the JSON gateway tells of errors.
///
/// - Source: grpc-gateway 1.16, `runtime.HTTPStatusFromCode`, `DefaultHTTPError`, `StreamError`.
enum GatewayError {
  /// The body of a refused request. `error` and `message` are the same, for clients of either age.
  static func body(_ status: GRPCStatus) -> Bytes {
    let object: JSONValue = [
      "error": .string(status.message), "code": .integer(status.code.rawValue),
      "message": .string(status.message),
    ]
    return object.encoded()
  }

  /// The last line of a stream.
  static func line(_ status: GRPCStatus) -> Bytes {
    let http = httpStatus(status.code)
    let error: JSONValue = [
      "grpc_code": .integer(status.code.rawValue), "http_code": .integer(http),
      "message": .string(status.message), "http_status": .string(HTTPResponseHead.reason(http)),
    ]
    let object: JSONValue = ["error": error]
    return object.encoded()
  }

  static func httpStatus(_ code: GRPCCode) -> Int {
    switch code {
    case .ok: 200
    case .cancelled, .deadlineExceeded: code == .cancelled ? 408 : 504
    case .invalidArgument, .failedPrecondition, .outOfRange: 400
    case .unauthenticated: 401
    case .permissionDenied: 403
    case .notFound: 404
    case .alreadyExists, .aborted: 409
    case .resourceExhausted: 429
    case .unimplemented: 501
    case .unavailable: 503
    case .unknown, .internal, .dataLoss: 500
    }
  }

  /// What Go's decoder says of a body.
  static func malformed(_ error: JSONError) -> GRPCStatus {
    GRPCStatus(
      .invalidArgument, error.kind == .unexpectedEnd ? "unexpected EOF" : error.detail)
  }
}
