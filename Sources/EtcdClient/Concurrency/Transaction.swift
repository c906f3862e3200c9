import Bytes
import EtcdAPI
import Synchronization

extension EtcdClient {
  /// What a transaction guarantees about what it reads.
  ///
  /// - Source: etcd `client/v3/concurrency/stm.go`.
  public enum Isolation: Sendable, Hashable {
    /// All reads are of one state, and nothing that was read or is written has changed since.
    case serializableSnapshot
    /// All reads are of one state, and nothing that was read has changed since.
    case serializable
    /// Reading a key again gives the same, and nothing that was read has changed since.
    case repeatableReads
    /// Reads are of states that were committed.
    case readCommitted
  }

  /// Reads and writes keys as if nobody else did: `body` is run, and what it wrote becomes one revision if
  /// what it read is still true; otherwise it is run again.
  ///
  ///     try await client.transaction { txn in
  ///       let count = try await txn.get("n").flatMap { Int($0.string) } ?? 0
  ///       txn.put("n", Bytes("\(count + 1)"))
  ///     }
  ///
  /// - Parameters:
  ///   - isolation: what is guaranteed.
  ///   - prefetch: keys to read at once before `body` runs, to save it the way for each.
  ///   - body: what to do; may run many times, and must change nothing but through the transaction.
  /// - Returns: what `body` returned the last time.
  /// - Throws: what `body` throws, without writing anything; `EtcdClientError`, after which it may have been
  ///   written for `unavailable` and `deadlineExceeded`. Transactions have as many keys as
  ///   `--max-txn-ops` of the servers says at most.
  public func transaction<R>(
    isolation level: Isolation = .serializableSnapshot, prefetch: [Bytes] = [],
    on actor: isolated (any Actor)? = #isolation, _ body: (Transaction) async throws -> R
  ) async throws -> R {
    let transaction = Transaction(client: self, isolation: level)
    var conflicts = 0
    while true {
      do {
        if !prefetch.isEmpty { _ = try await transaction.get(prefetch) }
        let result = try await body(transaction)
        if try await transaction.commit() { return result }
      } catch let error as EtcdClientError where error == .refused(.compacted) {
        // What it read is forgotten: as good as changed.
        transaction.reset()
      }
      conflicts += 1
      // Others are at it too; whoever waits for a different time gets through.
      let longest = Swift.min(100, 1 << Swift.min(conflicts, 7))
      do { try await Task.sleep(for: .milliseconds(Int.random(in: 0...longest))) } catch {
        throw EtcdClientError.cancelled
      }
    }
  }

  /// Reads and writes of one transaction; for the body of `transaction(isolation:prefetch:on:_:)`.
  public final class Transaction: Sendable {
    /// A key as it was read; `pair` is `nil` when there was none.
    private struct Read {
      var pair: Mvccpb.KeyValue?
      /// The state it was read in.
      var revision: Int64
    }
    private enum Write {
      case put(Bytes, lease: Int64)
      case delete
    }
    private struct State {
      var reads: [Bytes: Read] = [:]
      var writes: [Bytes: Write] = [:]
      /// What a conflict brought along.
      var prefetched: [Bytes: Read] = [:]
      /// The state that all reads are of, once there was one.
      var base: Int64 = 0
    }

    private let client: EtcdClient
    private let isolation: Isolation
    private let state = Mutex(State())

    init(client: EtcdClient, isolation: Isolation) {
      self.client = client
      self.isolation = isolation
    }

    /// The value of a key, as this transaction would leave it; `nil` when there is none.
    public func get(_ key: Bytes) async throws(EtcdClientError) -> Bytes? {
      try await get([key])[0]
    }

    /// The values of keys, with one request for all that were not read yet.
    public func get(_ keys: [Bytes]) async throws(EtcdClientError) -> [Bytes?] {
      try await fetch(state.withLock { state in keys.filter { state.writes[$0] == nil } })
      return state.withLock { state in
        keys.map { key in
          switch state.writes[key] {
          case .put(let value, _): value
          case .delete: nil
          case nil: state.reads[key]?.pair?.value
          }
        }
      }
    }

    /// The revision that last wrote a key, in the cluster; 0 when there is no such key.
    public func revision(of key: Bytes) async throws(EtcdClientError) -> Int64 {
      try await fetch([key])
      return state.withLock { $0.reads[key]?.pair?.modRevision ?? 0 }
    }

    /// Writes a key with the end of the transaction.
    /// - Parameter lease: the lease that the key ends with; 0 for none.
    public func put(_ key: Bytes, _ value: Bytes, lease: Int64 = 0) {
      state.withLock { $0.writes[key] = .put(value, lease: lease) }
    }

    /// Deletes a key with the end of the transaction.
    public func delete(_ key: Bytes) { state.withLock { $0.writes[key] = .delete } }

    // MARK: Reading

    private var readsOneState: Bool {
      isolation == .serializable || isolation == .serializableSnapshot
    }

    private func fetch(_ keys: [Bytes]) async throws(EtcdClientError) {
      let (missing, base) = state.withLock { state -> ([Bytes], Int64) in
        for key in keys where state.reads[key] == nil {
          guard let read = state.prefetched.removeValue(forKey: key) else { continue }
          // All reads are of one state: one of another is made anew.
          if readsOneState, state.base != 0, state.base != read.revision { continue }
          state.reads[key] = read
          if readsOneState { state.base = read.revision }
        }
        return (Array(Set(keys.filter { state.reads[$0] == nil })), state.base)
      }
      guard !missing.isEmpty else { return }
      // Which member's state the first read is of does not matter but for its age: it is asked for the newest.
      let isSerializable = readsOneState ? base != 0 : true
      let reads = missing.map { key in
        Etcdserverpb.RequestOp(
          request: .requestRange(
            .init(key: key, revision: base, serializable: isSerializable)))
      }
      let answer = try await client.kv.txn(success: reads)
      state.withLock { state in
        let found = Self.reads(missing, answer)
        state.reads.merge(found) { first, _ in first }
        if readsOneState, state.base == 0 { state.base = answer.header?.revision ?? 0 }
      }
    }

    private static func reads(
      _ keys: [Bytes], _ answer: Etcdserverpb.TxnResponse
    ) -> [Bytes: Read] {
      var reads: [Bytes: Read] = [:]
      for (key, part) in zip(keys, answer.responses) {
        guard case .responseRange(let range) = part.response else { continue }
        reads[key] = Read(pair: range.kvs.first, revision: answer.header?.revision ?? 0)
      }
      return reads
    }

    // MARK: The end

    /// Writes if what was read is still true.
    /// - Returns: whether it is; if not, everything begins anew.
    fileprivate func commit() async throws(EtcdClientError) -> Bool {
      let state = state.withLock { $0 }
      let keys = readsOneState ? Array(state.reads.keys) : []
      let answer = try await client.kv.txn(
        conflicts(state), success: state.writes.map(Self.operation),
        // In case of a conflict the next attempt needs these.
        failure: keys.map { .init(request: .requestRange(.init(key: $0))) })
      if answer.succeeded { return true }
      reset()
      self.state.withLock { $0.prefetched = Self.reads(keys, answer) }
      return false
    }

    fileprivate func reset() { state.withLock { $0 = State() } }

    private func conflicts(_ state: State) -> [Etcdserverpb.Compare] {
      guard isolation != .readCommitted else { return [] }
      var compares = state.reads.map { key, read in
        Etcdserverpb.Compare(
          result: .equal, target: .mod, key: key,
          targetUnion: .modRevision(read.pair?.modRevision ?? 0))
      }
      guard isolation == .serializableSnapshot,
        let first = state.reads.values.map(\.revision).min()
      else { return compares }
      for key in state.writes.keys where state.reads[key] == nil {
        compares.append(
          .init(result: .less, target: .mod, key: key, targetUnion: .modRevision(first &+ 1)))
      }
      return compares
    }

    private static func operation(_ key: Bytes, _ write: Write) -> Etcdserverpb.RequestOp {
      switch write {
      case .put(let value, let lease):
        .init(request: .requestPut(.init(key: key, value: value, lease: lease)))
      case .delete: .init(request: .requestDeleteRange(.init(key: key)))
      }
    }
  }
}
