import Bytes
import Calls
import EtcdAPI
import Protobuf

/// A session's key among those under one name. The oldest holds the lock, or leads.
///
/// The key is `<name>/<lease>`, so that a session has one, and goes with its lease.
///
/// - Source: etcd `client/v3/concurrency`, `key.go`, `mutex.go`, `election.go`.
struct Candidacy: Sendable {
  let key: Bytes
  let lease: Int64
  /// Revision that made the key.
  private(set) var revision: Int64 = 0
  private let prefix: Bytes
  private let calls: SessionCalls

  init(_ name: Bytes, lease: Int64, _ calls: SessionCalls) {
    prefix = Self.prefix(name)
    let digits = String(lease.magnitude, radix: 16)
    key = prefix.followed(by: Bytes(lease < 0 ? "-" + digits : digits))
    self.lease = lease
    self.calls = calls
  }

  /// What all keys under a name begin with.
  private static func prefix(_ name: Bytes) -> Bytes { name.followed(by: "/") }

  /// Asks for the oldest key under a name.
  static func oldest(_ name: Bytes) -> Etcdserverpb.RangeRequest {
    ranked(prefix(name), .ascend)
  }

  private static func ranked(
    _ prefix: Bytes, _ order: Etcdserverpb.RangeRequest.SortOrder
  ) -> Etcdserverpb.RangeRequest {
    // The byte behind the slash that ends the prefix.
    let end = prefix[0..<prefix.count - 1].followed(by: "0")
    return Etcdserverpb.RangeRequest(
      key: prefix, rangeEnd: end, limit: 1, sortOrder: order, sortTarget: .create)
  }

  // MARK: Entering

  /// What came of putting the key.
  struct Entry: Sendable {
    var header: Etcdserverpb.ResponseHeader?
    /// The key as it was before, when the session had one.
    var earlier: Mvccpb.KeyValue?
    /// Whether no key is older.
    var isOldest: Bool
  }

  /// Puts the key unless the session has it already, and looks who is the oldest.
  mutating func enter(_ value: Bytes) async throws(GRPCStatus) -> Entry {
    let oldest = Etcdserverpb.RequestOp(
      request: .requestRange(Self.ranked(prefix, .ascend)))
    let answer = try await calls.ask(
      Etcdserverpb.TxnRequest(
        compare: [created(at: 0)],
        success: [
          .init(request: .requestPut(.init(key: key, value: value, lease: lease))), oldest,
        ],
        failure: [.init(request: .requestRange(.init(key: key))), oldest]))
    let first = answer.responses.first?.range?.kvs.first
    guard let header = answer.header, answer.responses.count == 2,
      let created = answer.succeeded ? header.revision : first?.createRevision
    else { throw Self.otherResponses }
    revision = created
    let owner = answer.responses[1].range?.kvs.first
    let entry = Entry(
      header: header, earlier: answer.succeeded ? nil : first,
      isOldest: owner == nil || owner?.createRevision == revision)
    // Whoever has gone meanwhile leaves nothing behind, but what the session had before stays.
    guard Task.isCancelled else { return entry }
    if entry.earlier == nil { await withdraw() }
    throw .cancelled
  }

  private func created(at revision: Int64) -> Etcdserverpb.Compare {
    Self.created(key, at: revision)
  }

  static func created(_ key: Bytes, at revision: Int64) -> Etcdserverpb.Compare {
    Etcdserverpb.Compare(
      result: .equal, target: .create, key: key, targetUnion: .createRevision(revision))
  }

  /// Deletes the key if it is still the one that was put; when that fails it goes with its lease.
  func withdraw() async {
    _ = try? await calls.ask(
      Etcdserverpb.TxnRequest(
        compare: [created(at: revision)],
        success: [.init(request: .requestDeleteRange(.init(key: key)))]))
  }

  // MARK: Waiting

  /// Waits until no key is older.
  /// - Returns: the header of a read that found the own key, and none that is older; `nil` as soon as the
  ///   own key is gone, which will never be the oldest.
  /// - Throws: what made waiting impossible; the key is withdrawn then.
  func awaitTurn() async throws(GRPCStatus) -> Etcdserverpb.ResponseHeader? {
    do throws(GRPCStatus) {
      while true {
        let (header, own, older) = try await standing()
        if Task.isCancelled { throw .cancelled }
        guard own?.createRevision == revision else { return nil }
        guard let older else { return header }
        try await awaitDeletion(of: older.key, after: header.revision)
      }
    } catch {
      await withdraw()
      throw error
    }
  }

  /// The own key and the youngest of the older ones, read at one time.
  private func standing() async throws(GRPCStatus) -> (
    Etcdserverpb.ResponseHeader, own: Mvccpb.KeyValue?, older: Mvccpb.KeyValue?
  ) {
    var older = Self.ranked(prefix, .descend)
    older.maxCreateRevision = revision - 1
    let answer = try await calls.ask(
      Etcdserverpb.TxnRequest(success: [
        .init(request: .requestRange(.init(key: key))), .init(request: .requestRange(older)),
      ]))
    guard let header = answer.header, answer.responses.count == 2 else {
      throw Self.otherResponses
    }
    return (
      header, answer.responses[0].range?.kvs.first, answer.responses[1].range?.kvs.first
    )
  }

  private static let otherResponses = GRPCStatus(
    .internal, "a transaction was answered with other responses")

  /// Waits for the end of the older key, of the own one, or of what can be watched.
  private func awaitDeletion(of older: Bytes, after revision: Int64) async throws(GRPCStatus) {
    let stream = try calls.watch(
      [older, key].map { .init(key: $0, startRevision: revision + 1, filters: [.noput]) })
    defer { stream.cancel() }
    while let response = try await stream.nextWatchResponse() {
      if !response.events.isEmpty { return }
      guard response.canceled else { continue }
      // What was compacted away meanwhile shows when the keys are read again.
      if response.compactRevision > 0 { return }
      throw GRPCStatus(.unknown, response.cancelReason)
    }
    throw GRPCStatus(.unknown, "lost watcher waiting for delete")
  }
}

extension Etcdserverpb.ResponseOp {
  fileprivate var range: Etcdserverpb.RangeResponse? {
    if case .responseRange(let range) = response { range } else { nil }
  }
}

extension LocalStream {
  /// The next answer of a watch; `nil` at its end.
  func nextWatchResponse() async throws(GRPCStatus) -> Etcdserverpb.WatchResponse? {
    do {
      return try await next().map { try Etcdserverpb.WatchResponse.decode($0) }
    } catch { throw GRPCStatus(error).asUnknown }
  }
}
