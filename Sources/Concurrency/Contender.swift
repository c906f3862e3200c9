import Bytes
import EtcdAPI

/// A session's key among those under one name. The oldest holds the lock, or leads.
///
/// What to ask of a cluster and what its answers mean, as a value: the member's lock and election services, the
/// client library and the simulation all follow it. The key is `<name>/<lease>`, so that a session has one, and
/// it goes with its lease.
///
/// - Source: etcd `client/v3/concurrency`, `key.go`, `mutex.go`, `election.go`; all of these stand in one line.
public struct Contender: Sendable, Hashable {
  public let key: Bytes
  public let lease: Int64
  /// Revision that made the key, 0 before it was: larger than that of everybody who was here before, and thus
  /// what others can tell a holder of the past by (the fencing token).
  public private(set) var revision: Int64 = 0
  private let line: Bytes

  public init(_ name: Bytes, lease: Int64) {
    line = Self.line(name)
    let digits = String(lease.magnitude, radix: 16)
    key = line.followed(by: Bytes(lease < 0 ? "-" + digits : digits))
    self.lease = lease
  }

  /// An answer that fits no question of a contender; the server is none of etcd's.
  public struct OddAnswer: Error, CustomStringConvertible {
    public let description = "a transaction was answered with other responses"
  }

  // MARK: The line

  /// What all keys under a name begin with.
  private static func line(_ name: Bytes) -> Bytes { name.followed(by: "/") }

  /// Asks for the oldest key under a name.
  public static func oldest(_ name: Bytes) -> Etcdserverpb.RangeRequest {
    ranked(line(name), .ascend)
  }

  private static func ranked(
    _ line: Bytes, _ order: Etcdserverpb.RangeRequest.SortOrder
  ) -> Etcdserverpb.RangeRequest {
    // The byte behind the slash that ends the line's name.
    let end = line[0..<line.count - 1].followed(by: "0")
    return Etcdserverpb.RangeRequest(
      key: line, rangeEnd: end, limit: 1, sortOrder: order, sortTarget: .create)
  }

  // MARK: Entering

  /// What came of putting the key.
  public struct Entry: Sendable {
    public let header: Etcdserverpb.ResponseHeader
    /// The key as it was before, when the session had one.
    public let earlier: Mvccpb.KeyValue?
    /// Whether no key is older.
    public let isOldest: Bool
  }

  /// Puts the key unless the session has it already, and looks who is the oldest. Sent again it finds what the
  /// first one may have done.
  public func entry(_ value: Bytes) -> Etcdserverpb.TxnRequest {
    let oldest = Etcdserverpb.RequestOp(request: .requestRange(Self.ranked(line, .ascend)))
    let put = Etcdserverpb.PutRequest(key: key, value: value, lease: lease)
    return Etcdserverpb.TxnRequest(
      compare: [Self.created(key, at: 0)],
      success: [.init(request: .requestPut(put)), oldest],
      failure: [.init(request: .requestRange(.init(key: key))), oldest])
  }

  /// Reads the answer to `entry(_:)`; the contender knows its revision from then on.
  public mutating func entered(_ answer: Etcdserverpb.TxnResponse) throws(OddAnswer) -> Entry {
    let first = answer.responses.first?.range?.kvs.first
    guard let header = answer.header, answer.responses.count == 2,
      let created = answer.succeeded ? header.revision : first?.createRevision
    else { throw OddAnswer() }
    revision = created
    let owner = answer.responses[1].range?.kvs.first
    return Entry(
      header: header, earlier: answer.succeeded ? nil : first,
      isOldest: owner == nil || owner?.createRevision == revision)
  }

  // MARK: Waiting

  /// Where a contender stands in its line.
  public enum Standing: Sendable, Hashable {
    /// Nobody is older; with the header of the read that found it so.
    case first(Etcdserverpb.ResponseHeader)
    /// Somebody is: to be asked again when that key, or the own one, is deleted behind the revision.
    case behind(Bytes, revision: Int64)
    /// The own key is gone, and will never be the oldest. One that was made anew stands at the end of the line.
    case gone
  }

  /// Asks for the own key and the youngest of the older ones, read at one time: an expired session must never
  /// hold.
  public var look: Etcdserverpb.TxnRequest {
    var older = Self.ranked(line, .descend)
    older.maxCreateRevision = revision &- 1
    return Etcdserverpb.TxnRequest(success: [
      .init(request: .requestRange(.init(key: key))), .init(request: .requestRange(older)),
    ])
  }

  /// Reads the answer to `look`.
  public func standing(_ answer: Etcdserverpb.TxnResponse) throws(OddAnswer) -> Standing {
    guard let header = answer.header, answer.responses.count == 2,
      let own = answer.responses[0].range, let older = answer.responses[1].range
    else { throw OddAnswer() }
    guard own.kvs.first?.createRevision == revision else { return .gone }
    guard let next = older.kvs.first else { return .first(header) }
    return .behind(next.key, revision: header.revision)
  }

  // MARK: Holding

  /// True while the key is the one that was put.
  public var isThere: Etcdserverpb.Compare { Self.created(key, at: revision) }

  /// The same for a key that somebody names.
  public static func created(_ key: Bytes, at revision: Int64) -> Etcdserverpb.Compare {
    Etcdserverpb.Compare(
      result: .equal, target: .create, key: key, targetUnion: .createRevision(revision))
  }

  /// Deletes the key if it is still the one that was put.
  public var withdrawal: Etcdserverpb.TxnRequest { Self.withdrawal(of: key, madeAt: revision) }

  /// The same for a key that somebody names.
  public static func withdrawal(
    of key: Bytes, madeAt revision: Int64
  ) -> Etcdserverpb.TxnRequest {
    Etcdserverpb.TxnRequest(
      compare: [created(key, at: revision)],
      success: [.init(request: .requestDeleteRange(.init(key: key)))])
  }

  /// Puts another value if the key is still the one that was put.
  public func proclamation(_ value: Bytes) -> Etcdserverpb.TxnRequest {
    Self.proclamation(value, key, madeAt: revision, lease: lease)
  }

  /// The same for a key that somebody names.
  public static func proclamation(
    _ value: Bytes, _ key: Bytes, madeAt revision: Int64, lease: Int64
  ) -> Etcdserverpb.TxnRequest {
    Etcdserverpb.TxnRequest(
      compare: [created(key, at: revision)],
      success: [.init(request: .requestPut(.init(key: key, value: value, lease: lease)))])
  }
}

extension Etcdserverpb.ResponseOp {
  fileprivate var range: Etcdserverpb.RangeResponse? {
    if case .responseRange(let range) = response { range } else { nil }
  }
}
