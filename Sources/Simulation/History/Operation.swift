import Bytes
import Checkers
import EtcdAPI
import MVCC
import Member
import Protobuf

/// One request of one client, from call to return.
public struct Operation: ClientOperation {
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
  public var isWrite: Bool {
    switch request {
    case .put, .delete, .compareAndPut, .putBoth, .keepOnly, .putAndLook: true
    case .compact, .range, .past: false
    }
  }

  /// Whether the request is bound to the order of real time.
  public var isLinearizable: Bool {
    switch request {
    case .range(_, _, let serializable): !serializable
    case .past: false
    default: true
    }
  }

  /// The value that a successful write leaves under each key it names; 0 = none.
  public var effects: [(key: String, value: Int)] {
    switch request {
    case .put(let key, let value), .compareAndPut(let key, _, let value),
      .putAndLook(let key, let value, _):
      [(key, value)]
    case .delete(let key): [(key, 0)]
    case .putBoth(let first, let second, let value): [(first, value), (second, value)]
    case .keepOnly(let key, let value, let others): [(key, value)] + others.map { ($0, 0) }
    case .compact, .range, .past: []
    }
  }
}

extension Operation {
  public func step(on key: String) -> RegisterChecker.Step? {
    let action: RegisterChecker.Action
    switch (request, result) {
    case (_, .refused): return nil
    case (.put(key, let value), _), (.putBoth(key, _, let value), _),
      (.putBoth(_, key, let value), _), (.putAndLook(key, let value, _), _):
      action = .write(value)
    case (.keepOnly(let kept, let value, _), _): action = .write(kept == key ? value : 0)
    case (.delete(key), .wrote): action = .delete(existed: true)
    case (.delete(key), .unchanged): action = .delete(existed: false)
    case (.delete(key), nil): action = .delete(existed: nil)
    case (.compareAndPut(key, let expected, let new), .wrote):
      action = .compareAndPut(expected: expected, new: new, succeeded: true)
    case (.compareAndPut(key, let expected, let new), .unchanged):
      action = .compareAndPut(expected: expected, new: new, succeeded: false)
    case (.compareAndPut(key, let expected, let new), nil):
      action = .compareAndPut(expected: expected, new: new, succeeded: nil)
    case (.range(_, _, serializable: false), .read(_, let values)):
      guard let seen = values[key] else { return nil }
      action = .read(seen.value)
    default: return nil
    }
    return RegisterChecker.Step(action: action, called: called, returned: returned)
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
      || error == .permissionDenied || error == .authOldRevision || error == .userEmpty
      || error == .noSpace || error == .corrupt:
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
    // What was asked of the past is a state of then.
    self = .read(
      revision: request.revision > 0 ? request.revision : result.revision, values: values)
  }
}
