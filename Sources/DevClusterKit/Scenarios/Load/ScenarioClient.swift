import Checkers
import EtcdClient
import Protobuf

/// One client of a scenario, which speaks to one member alone, and writes down what it does.
struct ScenarioClient: Sendable {
  let number: Int
  let member: String
  let etcd: EtcdClient
  let recorder: HistoryRecorder

  /// How long a request may take.
  static let requestTimeout = Duration.seconds(2)

  typealias Outcome = HistoryOperation.Outcome

  /// Carries out one operation.
  /// - Parameter body: returns what was told.
  @discardableResult
  func perform(
    _ action: HistoryOperation.Action, _ body: () async throws(EtcdClientError) -> Outcome
  ) async -> Outcome {
    await performTellingLists(action) { () async throws(EtcdClientError) in (try await body(), [:])
    }
  }

  /// The same for what reads lists.
  @discardableResult
  func performTellingLists(
    _ action: HistoryOperation.Action,
    _ body: () async throws(EtcdClientError) -> (Outcome, [String: [Int]])
  ) async -> Outcome {
    let called = recorder.now()
    var outcome: Outcome
    var lists: [String: [Int]] = [:]
    do throws(EtcdClientError) { (outcome, lists) = try await body() } catch {
      outcome = Self.outcome(of: error)
    }
    var operation = HistoryOperation(
      client: number, member: member, action: action, called: called, ended: recorder.now(),
      outcome: outcome)
    operation.lists = lists
    recorder.record(.operation(operation))
    return outcome
  }

  /// What an error tells of a request: a refusal of etcd's is one for good, unless it says that a server could not
  /// know.
  static func outcome(of error: EtcdClientError) -> Outcome {
    if case .refused(let refusal) = error, refusal.code != .unavailable, refusal.code != .unknown,
      refusal.code != .deadlineExceeded, refusal.code != .cancelled
    {
      return .failed(refusal.message)
    }
    return .unknown(error.description)
  }

  // MARK: keys as registers

  func put(_ key: String, _ value: Int, lease: Int64 = 0) async -> Outcome {
    await perform(.put(key: key, value: value)) { () async throws(EtcdClientError) in
      let answer = try await etcd.kv.put(Bytes(key), Bytes(String(value)), lease: lease)
      return .wrote(revision: answer.header?.revision ?? 0)
    }
  }

  func delete(_ key: String) async -> Outcome {
    await perform(.delete(key: key)) { () async throws(EtcdClientError) in
      let answer = try await etcd.kv.delete(.key(Bytes(key)))
      let revision = answer.header?.revision ?? 0
      return answer.deleted > 0 ? .wrote(revision: revision) : .unchanged(revision: revision)
    }
  }

  /// - Parameters:
  ///   - comparison: what stands for `expected`.
  ///   - text: what is written for `value`.
  func compare(
    _ key: String, _ expected: Int, _ comparison: Etcdserverpb.Compare, _ value: Int,
    text: String
  ) async -> Outcome {
    await perform(.compare(key: key, expected: expected, value: value)) {
      () async throws(EtcdClientError) in
      let write = Etcdserverpb.RequestOp(
        request: .requestPut(.init(key: Bytes(key), value: Bytes(text))))
      let answer = try await etcd.kv.txn([comparison], success: [write])
      let revision = answer.header?.revision ?? 0
      return answer.succeeded ? .wrote(revision: revision) : .unchanged(revision: revision)
    }
  }

  /// Reads keys that are numbers or lists of numbers.
  /// - Parameters:
  ///   - keys: all that may be in the range.
  ///   - areLists: whether what is read is written down whole.
  /// - Returns: what is there, and their lists.
  @discardableResult
  func read(
    _ keys: [String], in range: KeyRange, areLists: Bool = false
  ) async -> (values: [String: SeenValue], lists: [String: [Int]]) {
    var found: [String: SeenValue] = [:]
    var lists: [String: [Int]] = [:]
    await performTellingLists(.read(keys)) { () async throws(EtcdClientError) in
      let answer = try await etcd.kv.get(range)
      for key in keys { found[key] = SeenValue(value: 0, modified: 0) }
      for row in answer.kvs {
        let elements = row.value.string.split(separator: ",").compactMap { Int($0) }
        found[row.key.string] = SeenValue(value: elements.last ?? 0, modified: row.modRevision)
        if areLists { lists[row.key.string] = elements }
      }
      return (.found(revision: answer.header?.revision ?? 0, found), lists)
    }
    return (found, lists)
  }
}

/// What a client does again and again.
protocol ScenarioWork {
  /// Does the next thing.
  mutating func next() async
}
