import Calls
import EtcdAPI
import Protobuf

/// Why a request has no result.
public enum EtcdClientError: Error, Hashable, Sendable, CustomStringConvertible {
  /// A server refused it: code and text are etcd's.
  case refused(EtcdError)
  /// The time was over before there was an answer; the request may have been carried out. The text says
  /// why no connection came up, if that was it.
  case deadlineExceeded(String)
  /// The connection broke or the server went away; the request may have been carried out.
  case unavailable(String)
  /// The task was cancelled; the request may have been carried out.
  case cancelled
  /// The client was closed.
  case closed
  /// An answer that is none of etcd's.
  case badAnswer(String)
  /// A watch cannot go on: what it would have to tell next was forgotten, up to this revision.
  case compacted(revision: Int64)
  /// A session is over: its lease may have ended, and its keys, locks and leadership with it.
  case sessionLost(lease: Int64)
  /// Somebody else leads, or nobody.
  case notLeader
  /// No client can be made of a configuration like this.
  case badConfiguration(String)

  /// etcd's error, when a server refused the request: `catch { if error.etcdError == .leaseNotFound … }`.
  /// (`catch EtcdClientError.refused(.leaseNotFound)` ends Swift 6.3's compiler in top-level code.)
  public var etcdError: EtcdError? {
    switch self {
    case .refused(let error): error
    case .compacted: .compacted
    default: nil
    }
  }

  /// Words for people; etcd's own for its errors.
  public var description: String {
    switch self {
    case .refused(let error): error.message
    case .deadlineExceeded(let text), .unavailable(let text), .badAnswer(let text),
      .badConfiguration(let text):
      text
    case .compacted(let revision):
      "\(EtcdError.compacted.message): everything up to revision \(revision)"
    case .sessionLost(let lease):
      "the session is over: its lease \(String(lease, radix: 16)) was not renewed in time or was revoked"
    case .notLeader: "the election was lost: the leader's key is another one"
    case .cancelled: "the task was cancelled"
    case .closed: "the client is closed"
    }
  }

  init(_ status: GRPCStatus) {
    if status == Connections.closing {
      self = .closed
    } else if status.message.hasPrefix("etcdserver: ") || status.message.hasPrefix("auth: ") {
      self = .refused(Self.error(status))
    } else {
      switch status.code {
      case .deadlineExceeded: self = .deadlineExceeded(status.message)
      case .unavailable: self = .unavailable(status.message)
      case .cancelled: self = .cancelled
      case .internal, .dataLoss: self = .badAnswer(status.message)
      default: self = .refused(Self.error(status))
      }
    }
  }

  private static func error(_ status: GRPCStatus) -> EtcdError {
    EtcdError(status.code, status.message)
  }
}
