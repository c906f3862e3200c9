import Bytes
import EtcdAPI
import Protobuf

@testable import MVCC

/// What an operation answered, in a form that the model and the store share.
indirect enum Answer: Equatable {
  case range(revision: Int64, pairs: [Mvccpb.KeyValue], more: Bool, count: Int64)
  case put(revision: Int64, previous: Mvccpb.KeyValue?)
  case delete(revision: Int64, deleted: Int64, previous: [Mvccpb.KeyValue])
  case txn(revision: Int64, succeeded: Bool, [Answer])
  case compaction(revision: Int64)
  case failed(StoreError)

  init(_ result: KVResult) throws {
    func pair(_ row: Bytes) throws -> Mvccpb.KeyValue { try Mvccpb.KeyValue.decode(row) }
    switch result {
    case .range(let found):
      self = .range(
        revision: found.revision, pairs: try found.rows.map(pair), more: found.more,
        count: found.count)
    case .put(let revision, let previous):
      self = .put(revision: revision, previous: try previous.map(pair))
    case .deleteRange(let revision, let deleted, let previous):
      self = .delete(revision: revision, deleted: deleted, previous: try previous.map(pair))
    case .txn(let revision, let succeeded, let responses):
      self = .txn(revision: revision, succeeded: succeeded, try responses.map { try Answer($0) })
    case .compaction(let revision): self = .compaction(revision: revision)
    case .pending: self = try Answer(try result.completed())
    }
  }

  init(_ body: () throws -> KVResult) throws {
    do { self = try Answer(try body()) } catch let error as StoreError { self = .failed(error) }
  }
}

/// The store as its documentation describes it: the whole history in a list, nothing ever removed,
/// every read computed from the beginning.
struct Model {
  struct Change {
    let main: Int64
    let key: Bytes
    /// `nil` for a deletion.
    let pair: Mvccpb.KeyValue?
  }

  private var history: [Change] = []
  private(set) var revision: Int64 = 1
  private(set) var compacted: Int64 = -1
  private var isChanged = false

  private var current: Int64 { revision + (isChanged ? 1 : 0) }

  func pairs(at main: Int64) -> [Mvccpb.KeyValue] {
    var found: [Bytes: Mvccpb.KeyValue] = [:]
    for change in history where change.main <= main { found[change.key] = change.pair }
    return found.values.sorted { $0.key < $1.key }
  }

  private func pairs(_ key: Bytes, _ end: Bytes, at main: Int64) -> [Mvccpb.KeyValue] {
    pairs(at: main).filter { pair in
      if end.isEmpty { return pair.key == key }
      return !(pair.key < key) && (end == Bytes([UInt8(0)]) || pair.key < end)
    }
  }

  // MARK: Operations

  mutating func transact(_ body: (inout Model) throws -> Answer) -> Answer {
    do {
      let answer = try body(&self)
      if isChanged { revision += 1 }
      isChanged = false
      return answer
    } catch let error as StoreError {
      return .failed(error)
    } catch { preconditionFailure("\(error)") }
  }

  mutating func put(_ request: Etcdserverpb.PutRequest) throws -> Answer {
    let before = pairs(request.key, Bytes(), at: current).first
    if request.lease != 0 { throw StoreError.leaseNotFound }
    if request.ignoreValue || request.ignoreLease, before == nil { throw StoreError.keyNotFound }
    let pair = Mvccpb.KeyValue(
      key: request.key, createRevision: before?.createRevision ?? revision + 1,
      modRevision: revision + 1, version: (before?.version ?? 0) + 1,
      value: request.ignoreValue ? before!.value : request.value)
    history.append(Change(main: revision + 1, key: request.key, pair: pair))
    isChanged = true
    return .put(revision: revision + 1, previous: request.prevKv ? before : nil)
  }

  mutating func delete(_ request: Etcdserverpb.DeleteRangeRequest) -> Answer {
    let gone = pairs(request.key, request.rangeEnd, at: current)
    for pair in gone { history.append(Change(main: revision + 1, key: pair.key, pair: nil)) }
    isChanged = isChanged || !gone.isEmpty
    return .delete(
      revision: current, deleted: Int64(gone.count), previous: request.prevKv ? gone : [])
  }

  func range(_ request: Etcdserverpb.RangeRequest) throws -> Answer {
    let at = request.revision <= 0 ? current : request.revision
    if at > current { throw StoreError.futureRevision }
    if at < compacted { throw StoreError.compacted }
    var found = pairs(request.key, request.rangeEnd, at: at)
    let count = Int64(found.count)
    if request.countOnly { return .range(revision: current, pairs: [], more: false, count: count) }
    let isFiltered =
      request.minModRevision != 0 || request.maxModRevision != 0
      || request.minCreateRevision != 0 || request.maxCreateRevision != 0
    let isDefaultOrder =
      request.sortOrder == .none || (request.sortTarget == .key && request.sortOrder == .ascend)
    if request.limit > 0, isDefaultOrder, !isFiltered {
      found = Array(found.prefix(Int(request.limit) + 1))
    }
    found = found.filter { pair in
      (request.minModRevision == 0 || pair.modRevision >= request.minModRevision)
        && (request.maxModRevision == 0 || pair.modRevision <= request.maxModRevision)
        && (request.minCreateRevision == 0 || pair.createRevision >= request.minCreateRevision)
        && (request.maxCreateRevision == 0 || pair.createRevision <= request.maxCreateRevision)
    }
    sort(&found, request)
    var more = false
    if request.limit > 0, found.count > Int(request.limit) {
      found.removeSubrange(Int(request.limit)...)
      more = true
    }
    if request.keysOnly { for position in found.indices { found[position].value = Bytes() } }
    return .range(revision: current, pairs: found, more: more, count: count)
  }

  private func sort(_ found: inout [Mvccpb.KeyValue], _ request: Etcdserverpb.RangeRequest) {
    let ascends: (Mvccpb.KeyValue, Mvccpb.KeyValue) -> Bool
    switch request.sortTarget {
    case .version: ascends = { $0.version < $1.version }
    case .create: ascends = { $0.createRevision < $1.createRevision }
    case .mod: ascends = { $0.modRevision < $1.modRevision }
    case .value: ascends = { $0.value < $1.value }
    default: ascends = { $0.key < $1.key }
    }
    if request.sortOrder == .descend {
      found.sort { ascends($1, $0) }
    } else {
      found.sort(by: ascends)
    }
  }

  mutating func compact(_ target: Int64) -> Answer {
    guard target > compacted else { return .failed(.compacted) }
    guard target <= revision else { return .failed(.futureRevision) }
    compacted = target
    return .compaction(revision: revision)
  }

  // MARK: Transactions

  mutating func txn(_ request: Etcdserverpb.TxnRequest) -> Answer {
    let before = self
    let answer = transact { model in try model.run(request, comparedWith: before, isNested: false) }
    // A transaction that fails changes nothing.
    if case .failed = answer { self = before }
    return answer
  }

  private mutating func run(
    _ request: Etcdserverpb.TxnRequest, comparedWith before: Model, isNested: Bool
  ) throws -> Answer {
    let succeeded = request.compare.allSatisfy { before.holds($0) }
    var answers: [Answer] = []
    for operation in succeeded ? request.success : request.failure {
      switch operation.request {
      case .requestPut(let put): answers.append(try self.put(put))
      case .requestDeleteRange(let range): answers.append(delete(range))
      case .requestRange(let range): answers.append(try self.range(range))
      case .requestTxn(let inner):
        answers.append(try run(inner, comparedWith: before, isNested: true))
      case nil: continue
      }
    }
    return .txn(revision: isNested ? 0 : current, succeeded: succeeded, answers)
  }

  private func holds(_ compare: Etcdserverpb.Compare) -> Bool {
    let found = pairs(compare.key, compare.rangeEnd, at: revision)
    if found.isEmpty {
      return compare.target != .value && holds(compare, for: Mvccpb.KeyValue())
    }
    return found.allSatisfy { holds(compare, for: $0) }
  }

  private func holds(_ compare: Etcdserverpb.Compare, for pair: Mvccpb.KeyValue) -> Bool {
    func test<T: Comparable>(_ a: T, _ b: T) -> Bool {
      switch compare.result {
      case .equal: a == b
      case .notEqual: a != b
      case .greater: a > b
      default: a < b
      }
    }
    switch compare.targetUnion {
    case .value(let value): return test(pair.value, value)
    case .createRevision(let revision): return test(pair.createRevision, revision)
    case .modRevision(let revision): return test(pair.modRevision, revision)
    case .version(let version): return test(pair.version, version)
    case .lease(let lease): return test(pair.lease, lease)
    case nil: return false
    }
  }
}
