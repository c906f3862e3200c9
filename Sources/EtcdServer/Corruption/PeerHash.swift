import EtcdAPI
import EventLoops
import GoText
import Membership

/// What another member said when it was asked for its hash.
struct PeerHash: Sendable {
  /// Why there is no hash.
  enum Failure: Error, Equatable, CustomStringConvertible {
    /// The member has not got that far.
    case futureRevision
    /// The member has dropped that revision.
    case compacted
    case clusterMismatch
    case other(String)

    var description: String {
      switch self {
      case .futureRevision: EtcdError.futureRevision.message
      case .compacted: EtcdError.compacted.message
      case .clusterMismatch: "etcdserver: cluster ID mismatch"
      case .other(let text): text
      }
    }
  }

  let id: MemberID
  let endpoints: [String]
  let result: Result<MemberHash, Failure>

  var hexID: String { id.hex }
  var hash: MemberHash? { try? result.get() }

  /// Reads an answer.
  /// - Parameter hash: what its body says; `nil` when that is no hash.
  /// - Source: etcd `HashByRev`.
  static func result(
    status: Int, body: @autoclosure () -> String, hash: @autoclosure () -> MemberHash?
  ) -> Result<MemberHash, Failure> {
    switch status {
    case 200:
      guard let hash = hash() else {
        return .failure(.other("malformed hash: \(LogText.shortened(body()))"))
      }
      return .success(hash)
    case 400 where body().holds(HashKVMessage.compacted): return .failure(.compacted)
    case 400 where body().holds(HashKVMessage.futureRevision): return .failure(.futureRevision)
    case 412 where body().holds(HashKVMessage.clusterMismatch): return .failure(.clusterMismatch)
    default: return .failure(.other("unknown error: \(LogText.shortened(body()))"))
    }
  }
}

/// A line for the log, as a value.
struct CheckLine: Sendable {
  let level: LogLevel
  let message: String
  let fields: [LogField]

  init(_ level: LogLevel, _ message: String, _ fields: [LogField]) {
    self.level = level
    self.message = message
    self.fields = fields
  }
}

extension Logger {
  func log(_ lines: [CheckLine]) {
    for line in lines { log(line.level, line.message, line.fields) }
  }
}
