import JSON

/// Why a request of the v2 API has no result, in the words of Go's client.
package enum V2Failure: Error, Equatable {
  /// An answer of the key space: code, message, cause and index.
  case refused(code: Int64, message: String, cause: String, index: UInt64)
  /// One endpoint gave no answer.
  case attempt(String, isConnection: Bool)
  /// None of the endpoints did.
  case cluster([V2Failure])
  /// The whole command took too long.
  case deadline
  case noEndpoints
  /// A status that is none of those expected.
  case status(Int)
  case other(String)

  package static let invalidJSON = other(
    "client: response is invalid json. The endpoint is probably not valid etcd cluster endpoint")

  package var message: String {
    switch self {
    case .refused(let code, let message, let cause, let index):
      "\(code): \(message) (\(cause)) [\(index)]"
    case .attempt(let text, _): text
    case .cluster(let attempts):
      "client: etcd cluster is unavailable or misconfigured"
        + attempts.enumerated().map { "; error #\($0): \($1.message)\n" }.joined()
    case .deadline: "context deadline exceeded"
    case .noEndpoints: "client: no endpoints available"
    case .status(let code): "unexpected status code \(code)"
    case .other(let text): text
    }
  }

  /// Whether there was no connection, or one that broke.
  ///
  /// - Source: etcd `ctlv2/command/util.go` isConnectionError.
  package var isConnection: Bool {
    switch self {
    case .attempt(_, let isConnection): isConnection
    case .cluster(let attempts): attempts.allSatisfy(\.isConnection)
    case .deadline: true
    case .refused, .noEndpoints, .status, .other: false
    }
  }
}

extension JSONValue {
  /// A body as a tree, with bounds that no answer of a server reaches.
  ///
  /// The limit of depth is far above what a server can hold in one answer: every level of directories is two
  /// levels here.
  package static func body(of answer: V2Answer) -> JSONValue? {
    try? JSONParser.parse(
      answer.body, limits: JSONLimits(depth: 1024, bytes: V2Transport.bodyBytesMax))
  }
}
