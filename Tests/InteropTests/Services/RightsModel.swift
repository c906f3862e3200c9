import Bytes
import EtcdAPI

/// Who may do what, written down once more from etcd's rules and apart from our code: as etcd 3.5.1 has them, the one
/// that answers beside ours, and as 3.5.30 has them, which we say we are.
///
/// - Source: etcd `apply_auth.go`, `v3_server.go`, `v3rpc/{key,member,maintenance,watch}.go` at v3.5.1 and v3.5.30.
enum RightsModel {
  enum Release { case v351, newest }

  enum Kind: Sendable { case read, write }

  /// Keys from one on: up to another, that one alone, or all behind it.
  struct Keys: Hashable, Sendable {
    let first: String
    let end: String
    init(_ first: String, _ end: String = "") {
      self.first = first
      self.end = end
    }
    static func prefix(_ text: String) -> Keys {
      let next = UnicodeScalar(text.utf8.last! + 1)
      return Keys(text, String(text.dropLast()) + String(Character(next)))
    }
    static let all = Keys("\0", "\0")

    /// One that is in it, at least.
    var bounds: (first: String, last: String?) {
      switch end {
      case "": (first, first + "\0")
      case "\0": (first, nil)
      default: (first, end)
      }
    }
  }

  struct Grant: Sendable {
    typealias Kind = Authpb.Permission.TypeEnum
    let kind: Kind
    let keys: Keys
    init(_ kind: Kind, _ keys: Keys) { (self.kind, self.keys) = (kind, keys) }
  }

  /// Those who ask.
  enum Caller: String, CaseIterable, Sendable {
    case nobody, broken, plain, reader, writer, both, partial, prefix, split, all, root

    /// Users have a role of their name each.
    var isUser: Bool { self != .nobody && self != .broken }

    var grants: [Grant] {
      switch self {
      case .nobody, .broken, .plain, .root: []
      case .reader: [Grant(.read, Keys("a")), Grant(.read, .prefix("p/"))]
      case .writer: [Grant(.write, Keys("a")), Grant(.write, .prefix("p/"))]
      case .both: [Grant(.readwrite, Keys("a")), Grant(.readwrite, Keys("p/l/3"))]
      case .partial: [Grant(.readwrite, Keys("a", "c"))]
      case .prefix: [Grant(.readwrite, .prefix("p/"))]
      case .split:
        [
          Grant(.read, Keys("a", "b")), Grant(.read, Keys("b", "d")),
          Grant(.write, Keys("a", "\0")),
        ]
      case .all: [Grant(.readwrite, .all)]
      }
    }

    func may(_ kind: Kind, _ keys: Keys) -> Bool {
      if self == .root { return true }
      let wanted = keys.bounds
      // What of it is not granted yet, grant by grant in the order of their beginnings.
      var from = wanted.first
      let own: Grant.Kind = kind == .read ? .read : .write
      let granted = grants.filter { $0.kind == .readwrite || $0.kind == own }.map(\.keys.bounds)
      for grant in granted.sorted(by: { $0.first < $1.first }) where grant.first <= from {
        guard let last = grant.last else { return true }
        from = max(from, last)
      }
      guard let last = wanted.last else { return false }
      return from >= last
    }
  }

  /// What a request asks of its caller; a list is looked through in order.
  enum Need: Sendable {
    /// A token, if any, that is one.
    case goodToken
    case named
    case admin
    /// The user itself, or an administrator.
    case oneself(Caller)
    /// Who has the role, or an administrator.
    case role(Caller)
    case keys(Kind, Keys)
  }

  /// What the caller is told; `nil`: it is served.
  static func refusal(_ needs: [Need], _ caller: Caller) -> String? {
    if caller == .broken, !needs.isEmpty { return "invalid auth token" }
    for need in needs {
      let mayPass: Bool
      switch need {
      case .goodToken: continue
      case .named: mayPass = true
      case .admin: mayPass = caller == .root
      case .oneself(let user), .role(let user): mayPass = caller == .root || caller == user
      case .keys(let kind, let keys): mayPass = caller.may(kind, keys)
      }
      if caller == .nobody { return "user name is empty" }
      if !mayPass { return "permission denied" }
    }
    return nil
  }

  // MARK: What requests need

  /// Keys that hang on leases while the requests come.
  static let leases: [Int64: [String]] = [1: ["a"], 2: ["z"], 3: [], 4: ["p/2"], 5: ["a2", "p/3"]]

  static func needs(
    _ put: Etcdserverpb.PutRequest, inTxn: Bool, _ release: Release
  ) -> [Need] {
    var needs = [Need.keys(.write, Keys(put.key.string))]
    // CVE-2026-44283: not looked at within transactions before 3.5.30.
    if inTxn, release == .v351 { return needs }
    needs += (leases[put.lease] ?? []).map { .keys(.write, Keys($0)) }
    if put.prevKv { needs.append(.keys(.read, Keys(put.key.string))) }
    return needs
  }

  static func needs(_ range: Etcdserverpb.RangeRequest) -> [Need] {
    [.keys(.read, Keys(range.key.string, range.rangeEnd.string))]
  }

  static func needs(_ delete: Etcdserverpb.DeleteRangeRequest) -> [Need] {
    let keys = Keys(delete.key.string, delete.rangeEnd.string)
    return delete.prevKv ? [.keys(.write, keys), .keys(.read, keys)] : [.keys(.write, keys)]
  }

  static func needs(_ txn: Etcdserverpb.TxnRequest, _ release: Release) -> [Need] {
    var needs = [Need.goodToken]
    needs += txn.compare.map { .keys(.read, Keys($0.key.string, $0.rangeEnd.string)) }
    for operation in txn.success + txn.failure {
      switch operation.request {
      case .requestRange(let range): needs += Self.needs(range)
      case .requestPut(let put): needs += Self.needs(put, inTxn: true, release)
      case .requestDeleteRange(let range): needs += Self.needs(range)
      // CVE-2026-33343: not looked at before 3.5.28.
      case .requestTxn(let inner): if release == .newest { needs += Self.needs(inner, release) }
      case nil: break
      }
    }
    return needs
  }
}
