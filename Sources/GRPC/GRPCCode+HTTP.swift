import Protobuf

extension GRPCCode {
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
