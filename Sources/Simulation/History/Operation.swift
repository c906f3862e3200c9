import Bytes
import EtcdAPI
import MVCC
import Member
import Protobuf

/// A key's value as a read returned it.
public struct SeenValue: Sendable, Hashable {
  /// 0 when the key did not exist.
  public let value: Int
  /// Revision of the key's last change; 0 when it did not exist.
  public let modified: Int64
}

/// What a client was told.
public enum OperationResult: Sendable {
  /// The write made a revision.
  case wrote(revision: Int64)
  /// A delete that found nothing, or a comparison that did not hold.
  case unchanged(revision: Int64)
  /// Values of all keys asked for, keys without a value included.
  case read(revision: Int64, values: [String: SeenValue])
  /// The request was refused and never enters the log.
  case refused
}

/// One request of one client, from call to return.
public struct Operation: Sendable {
  public let client: Int
  public let request: ClientRequest
  /// Member that was asked.
  public let member: MemberID
  /// In whose name it was asked, if in anybody's.
  public var user: String?
  /// Position in the order of all calls and returns.
  public let called: Int
  /// `nil` while, or for ever when, the outcome is unknown.
  public var returned: Int?
  public var result: OperationResult?

  /// Whether the request changes data when it takes effect.
  var isWrite: Bool {
    switch request {
    case .put, .delete, .compareAndPut, .putBoth, .keepOnly: true
    case .compact, .range: false
    }
  }

  /// Whether the request is bound to the order of real time.
  var isLinearizable: Bool {
    if case .range(_, _, let serializable) = request { return !serializable }
    return true
  }

  /// The value that a successful write leaves under each key it names; 0 = none.
  var effects: [(key: String, value: Int)] {
    switch request {
    case .put(let key, let value), .compareAndPut(let key, _, let value): [(key, value)]
    case .delete(let key): [(key, 0)]
    case .putBoth(let first, let second, let value): [(first, value), (second, value)]
    case .keepOnly(let key, let value, let others): [(key, value)] + others.map { ($0, 0) }
    case .compact, .range: []
    }
  }
}

extension OperationResult {
  /// Reads the answer to a proposal.
  /// - Returns: `nil` when the outcome stays unknown.
  init?(_ outcome: Outcome, to request: ClientRequest) {
    switch outcome {
    case .kv(.put(let revision, _)): self = .wrote(revision: revision)
    case .kv(.deleteRange(let revision, let deleted, _)):
      self = deleted > 0 ? .wrote(revision: revision) : .unchanged(revision: revision)
    case .kv(.txn(let revision, let succeeded, _)):
      self = succeeded ? .wrote(revision: revision) : .unchanged(revision: revision)
    case .kv(.compaction(let revision)): self = .unchanged(revision: revision)
    case .failed(let error)
    where error == .tooManyRequests || error == .compacted || error == .futureRevision
      || error == .permissionDenied || error == .authOldRevision || error == .userEmpty:
      self = .refused
    default: return nil
    }
  }

  /// Reads the answer to a range from the state that it may be answered from.
  init(
    _ request: Etcdserverpb.RangeRequest, keys: [String], in snapshot: StoreSnapshot
  ) throws(StoreError) {
    let result = try snapshot.range(request)
    var values: [String: SeenValue] = [:]
    let interval = KeyInterval(key: request.key, rangeEnd: request.rangeEnd)
    for key in keys where interval.contains(Bytes(key)) {
      values[key] = SeenValue(value: 0, modified: 0)
    }
    for row in result.rows {
      do {
        let pair = try Mvccpb.KeyValue.decode(row)
        values[pair.key.string] = SeenValue(
          value: ClientRequest.value(pair.value), modified: pair.modRevision)
      } catch { throw .damaged("\(error)") }
    }
    self = .read(revision: result.revision, values: values)
  }
}
