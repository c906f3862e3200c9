import Calls
import EtcdAPI
import EtcdClient
import Protobuf

/// Why a request has no result, in the words of Go's client.
struct ClientFailure: Error, Equatable {
  let message: String

  static let deadlineExceeded = ClientFailure(message: "context deadline exceeded")

  private init(message: String) { self.message = message }

  /// A failure on this side.
  init(local message: String) { self.message = message }

  /// - Source: etcd `client/v3/client.go` toErr: an error that etcd defines is shown by its text, any
  ///   other as gRPC's.
  init(_ status: GRPCStatus) {
    if status.code == .deadlineExceeded, !Self.known.contains(status.message) {
      self = .deadlineExceeded
    } else if Self.known.contains(status.message) {
      message = status.message
    } else {
      message = status.description
    }
  }

  /// The same for what the client library says.
  init(_ error: EtcdClientError) {
    switch error {
    case .refused(let error): self.init(message: error.message)
    case .compacted: self.init(message: EtcdError.compacted.message)
    case .deadlineExceeded: self = .deadlineExceeded
    case .cancelled: self.init(message: "context canceled")
    case .unavailable(let text): self.init(GRPCStatus(.unavailable, text))
    case .sessionLost, .notLeader, .closed, .badAnswer, .badConfiguration:
      self.init(message: "\(error)")
    }
  }

  private static let known = Set(EtcdError.known.map(\.message))
}
