import Bytes
import EtcdAPI
import Foundation
import Protobuf

/// A request of the matrix, and what it needs.
struct RightsRow: Sendable {
  let call: ServiceCall
  let needs: @Sendable (RightsModel.Release) -> [RightsModel.Need]
  /// How deep transactions are nested in it.
  var depth = 0
  /// Whether an answer that is served is compared: not what has sizes, times and names in it.
  var compares = true
  /// Asked by root it changes users or members for good.
  var lasts = false

  private init(
    _ method: MethodDescriptor, _ message: some ProtobufMessage, depth: Int = 0,
    _ needs: @escaping @Sendable (RightsModel.Release) -> [RightsModel.Need]
  ) {
    call = ServiceCall(method, message)
    self.depth = depth
    self.needs = needs
  }

  typealias API = Etcdserverpb
  typealias Keys = RightsModel.Keys
  typealias Need = RightsModel.Need

  // MARK: Keys

  private static let keys: [Keys] = [
    Keys("a"), Keys("z"), Keys("p/1"), Keys("a", "c"), Keys("a", "d"), .prefix("p/"), .all,
    Keys("b", "\0"), Keys("a", "a\0"),
  ]

  static let ranges: [API.RangeRequest] = keys.flatMap { keys -> [API.RangeRequest] in
    let range = API.RangeRequest(key: Bytes(keys.first), rangeEnd: Bytes(keys.end))
    var others = [range, range, range, range]
    others[1].serializable = true
    others[2].countOnly = true
    others[3].keysOnly = true
    others[3].limit = 1
    return others
  }

  static let puts: [API.PutRequest] = ["a", "b", "p/1", "z", "new"].flatMap { (key: Bytes) in
    var puts = [API.PutRequest(key: key, value: "v")]
    puts.append(API.PutRequest(key: key, value: "v", prevKv: true))
    puts.append(API.PutRequest(key: key, prevKv: true, ignoreValue: true))
    puts.append(API.PutRequest(key: key, value: "v", ignoreLease: true))
    puts += [1, 2, 3, 4, 5, 99].map { API.PutRequest(key: key, value: "v", lease: $0) }
    return puts
  }

  static let deletes: [API.DeleteRangeRequest] = keys.flatMap { keys in
    [false, true].map {
      API.DeleteRangeRequest(key: Bytes(keys.first), rangeEnd: Bytes(keys.end), prevKv: $0)
    }
  }

  private static let operations: [API.RequestOp] =
    // Of ranges one form is enough inside of transactions.
    stride(from: 0, to: ranges.count, by: 4).map { .init(request: .requestRange(ranges[$0])) }
    + puts.map { .init(request: .requestPut($0)) }
    + deletes.map { .init(request: .requestDeleteRange($0)) }

  /// True of what is there, but for `z`.
  private static func compare(_ keys: Keys) -> API.Compare {
    API.Compare(
      result: .greater, target: .version, key: Bytes(keys.first), targetUnion: .version(0),
      rangeEnd: Bytes(keys.end))
  }

  /// Transactions around one operation or comparison: `path` says at each depth whether it is in the branch that is
  /// taken, and whether that is the first.
  private static func wrap(
    _ inner: API.TxnRequest, _ path: [(isTaken: Bool, isFirst: Bool)]
  ) -> API.TxnRequest {
    var txn = inner
    for step in path.reversed() {
      var outer = API.TxnRequest()
      // An empty list is true, and of a key that everybody may not read nobody asks here.
      let operation = API.RequestOp(request: .requestTxn(txn))
      if step.isTaken == step.isFirst {
        outer.success = [operation]
      } else {
        outer.failure = [operation]
      }
      txn = outer
    }
    return txn
  }

  private static func single(_ operation: API.RequestOp, isFirst: Bool) -> API.TxnRequest {
    isFirst ? API.TxnRequest(success: [operation]) : API.TxnRequest(failure: [operation])
  }

  private static let depths = 1...4

  /// Whether there is time for every row in every way: `RIGHTS=all`.
  static let isWhole = ProcessInfo.processInfo.environment["RIGHTS"] == "all"

  static let transactions: [RightsRow] = {
    var rows: [RightsRow] = []
    func add(_ txn: API.TxnRequest, _ depth: Int) {
      rows.append(
        RightsRow(API.KVService.txn, txn, depth: depth) { RightsModel.needs(txn, $0) })
    }
    add(API.TxnRequest(), 1)
    for depth in depths {
      for (number, operation) in operations.enumerated() {
        // Further down an operation in three, another one at each depth, unless `RIGHTS` says all.
        if depth > 1, !isWhole, number % 3 != depth % 3 { continue }
        // Both branches at the top; further down one or the other.
        for isFirst in depth == 1 ? [true, false] : [(number + depth) % 2 == 0] {
          // The way down is another for each operation: its bits.
          let path = (1..<depth).map { level in
            (isTaken: (number >> level) & 1 == 0, isFirst: (number >> (level + 1)) & 1 == 0)
          }
          add(wrap(single(operation, isFirst: isFirst), path), depth)
        }
      }
      for keys in keys {
        let inner = API.TxnRequest(compare: [compare(keys)])
        add(wrap(inner, Array(repeating: (true, true), count: depth - 1)), depth)
        add(wrap(inner, Array(repeating: (false, true), count: depth - 1)), depth)
      }
      // Something that is allowed in front of something that may not be.
      var mixed = API.TxnRequest(compare: [compare(Keys("a"))])
      mixed.success = [
        .init(request: .requestPut(.init(key: "a", value: "mixed"))),
        .init(request: .requestRange(.init(key: "p/1"))),
      ]
      mixed.failure = [.init(request: .requestDeleteRange(.init(key: "z")))]
      add(wrap(mixed, Array(repeating: (true, true), count: depth - 1)), depth)
    }
    return rows
  }()

  static let keyRows: [RightsRow] =
    ranges.map { range in
      RightsRow(API.KVService.range, range) { _ in RightsModel.needs(range) }
    }
    + puts.map { put in
      RightsRow(API.KVService.put, put) { RightsModel.needs(put, inTxn: false, $0) }
    }
    + deletes.map { delete in
      RightsRow(API.KVService.deleteRange, delete) { _ in RightsModel.needs(delete) }
    } + [
      RightsRow(API.KVService.compact, API.CompactionRequest(revision: 2)) {
        $0 == .newest ? [.admin] : [.goodToken]
      },
      RightsRow(API.KVService.compact, API.CompactionRequest(revision: 100_000_000)) {
        $0 == .newest ? [.admin] : [.goodToken]
      },
    ]

  // MARK: Watches and leases

  static let watches: [RightsRow] = keys.flatMap { keys in
    ([0, 1] as [Int64]).map { start in
      let create = API.WatchCreateRequest(
        key: Bytes(keys.first), rangeEnd: Bytes(keys.end), startRevision: start, prevKv: start > 0)
      return RightsRow(
        API.WatchService.watch, API.WatchRequest(requestUnion: .createRequest(create))
      ) {
        // GHSA-xg4h-6gfc-h4m8: a watch without an end was looked at as one of a single key.
        [.keys(.read, $0 == .v351 && keys.end == "\0" ? Keys(keys.first) : keys)]
      }
    }
  }

  static let leases: [RightsRow] = {
    typealias Lease = API.LeaseService
    var rows: [RightsRow] = []
    /// Who is told of a lease has a name, and reads or writes its keys, since 3.5.28.
    @Sendable func held(_ kind: RightsModel.Kind, _ lease: Int64) -> [Need] {
      [.named] + (RightsModel.leases[lease] ?? []).map { .keys(kind, Keys($0)) }
    }
    rows.append(
      RightsRow(Lease.leaseGrant, API.LeaseGrantRequest(ttl: 10_000, id: 50)) {
        $0 == .newest ? [.named] : [.goodToken]
      })
    rows.append(
      RightsRow(Lease.leaseGrant, API.LeaseGrantRequest(ttl: 10_000, id: 1)) {
        $0 == .newest ? [.named] : [.goodToken]
      })
    for lease in [1, 2, 3, 4, 5, 99] as [Int64] {
      rows.append(
        RightsRow(Lease.leaseRevoke, API.LeaseRevokeRequest(id: lease)) {
          $0 == .newest
            ? held(.write, lease) : [.goodToken] + held(.write, lease).dropFirst()
        })
      for keys in [false, true] {
        rows.append(
          RightsRow(Lease.leaseTimeToLive, API.LeaseTimeToLiveRequest(id: lease, keys: keys)) {
            $0 == .v351 ? [] : keys ? held(.read, lease) : [.named]
          })
        rows[rows.count - 1].compares = false
      }
      rows.append(
        RightsRow(Lease.leaseKeepAlive, API.LeaseKeepAliveRequest(id: lease)) {
          $0 == .v351 ? [] : held(.write, lease)
        })
    }
    rows.append(
      RightsRow(Lease.leaseLeases, API.LeaseLeasesRequest()) {
        $0 == .v351
          ? [] : [.named] + RightsModel.leases.values.flatMap { $0 }.map { .keys(.read, Keys($0)) }
      })
    rows[rows.count - 1].compares = false
    return rows
  }()

  // MARK: Locks and elections

  /// They ask in the name of their caller: `concurrency/mutex.go`, `election.go`.
  static let locks: [RightsRow] = {
    typealias Lock = V3lockpb.LockService
    typealias Election = V3electionpb.ElectionService
    var rows: [RightsRow] = []
    for (name, lease) in [("p/l", 3), ("p/l", 2), ("p/l", 4), ("a", 3), ("q", 0)]
      as [(String, Int64)]
    {
      let key = name + "/\(lease)"
      let all = Keys.prefix(name + "/")
      @Sendable func enter(_ release: RightsModel.Release) -> [Need] {
        let put = API.PutRequest(key: Bytes(key), lease: lease)
        return [.keys(.read, Keys(key))] + RightsModel.needs(put, inTxn: true, release)
          + [.keys(.read, all)]
      }
      // A session is granted first, to whoever has a name.
      let session: @Sendable (RightsModel.Release) -> [Need] = {
        lease > 0 ? [] : $0 == .newest ? [.named] : [.goodToken]
      }
      rows.append(
        RightsRow(Lock.lock, V3lockpb.LockRequest(name: Bytes(name), lease: lease)) {
          session($0) + enter($0)
        })
      rows[rows.count - 1].compares = lease > 0
      if lease == 0 { continue }
      rows.append(
        RightsRow(Lock.unlock, V3lockpb.UnlockRequest(key: Bytes(key))) { _ in
          [.keys(.write, Keys(key))]
        })
      rows.append(
        RightsRow(
          Election.campaign,
          V3electionpb.CampaignRequest(name: Bytes(name), lease: lease, value: "v")
        ) { enter($0) })
      let leader = V3electionpb.LeaderKey(
        name: Bytes(name), key: Bytes(key), rev: 1, lease: lease)
      rows.append(
        RightsRow(
          Election.proclaim, V3electionpb.ProclaimRequest(leader: leader, value: "w")
        ) {
          let put = API.PutRequest(key: Bytes(key), lease: lease)
          return [.keys(.read, Keys(key))] + RightsModel.needs(put, inTxn: true, $0)
        })
      rows.append(
        RightsRow(Election.resign, V3electionpb.ResignRequest(leader: leader)) { _ in
          [.keys(.read, Keys(key)), .keys(.write, Keys(key))]
        })
    }
    for name in ["p/e", "z"] {
      let all = Keys.prefix(name + "/")
      let request = V3electionpb.LeaderRequest(name: Bytes(name))
      rows.append(RightsRow(Election.leader, request) { _ in [.keys(.read, all)] })
      // Who observes an election without a leader waits.
      if name == "z" { continue }
      rows.append(RightsRow(Election.observe, request) { _ in [.keys(.read, all)] })
    }
    return rows
  }()

  // MARK: The others

  /// Methods whose refusals etcd sends as they are, with the words of `auth`.
  static let untranslated: Set = ["Defragment", "Hash", "HashKV", "Snapshot"]

  static let others: [RightsRow] = {
    typealias Auth = API.AuthService
    typealias Cluster = API.ClusterService
    typealias Maintenance = API.MaintenanceService
    var rows: [RightsRow] = []
    func add(
      _ method: MethodDescriptor, _ message: some ProtobufMessage, _ newest: [Need],
      _ old: [Need]? = nil, compares: Bool = true, lasts: Bool = false
    ) {
      var row = RightsRow(method, message) { $0 == .newest ? newest : old ?? newest }
      (row.compares, row.lasts) = (compares, lasts)
      rows.append(row)
    }
    add(Cluster.memberList, API.MemberListRequest(), [.named], [], compares: false)
    add(Cluster.memberAdd, API.MemberAddRequest(peerURLs: ["x"]), [])
    let learner = API.MemberAddRequest(peerURLs: ["http://127.0.0.1:9"], isLearner: true)
    add(Cluster.memberAdd, learner, [.admin], compares: false, lasts: true)
    add(Cluster.memberRemove, API.MemberRemoveRequest(id: 1), [.admin])
    add(
      Cluster.memberUpdate, API.MemberUpdateRequest(id: 1, peerURLs: ["http://127.0.0.1:9"]),
      [.admin])
    add(Cluster.memberPromote, API.MemberPromoteRequest(id: 1), [.admin])
    add(Maintenance.alarm, API.AlarmRequest(), [.named], [.goodToken])
    for action in [API.AlarmRequest.AlarmAction.activate, .deactivate] {
      let request = API.AlarmRequest(action: action, memberID: 1, alarm: .nospace)
      add(Maintenance.alarm, request, [.admin], [.goodToken])
    }
    add(Maintenance.status, API.StatusRequest(), [.admin], [], compares: false)
    add(Maintenance.moveLeader, API.MoveLeaderRequest(targetID: 1), [.admin], [])
    for version in ["3.4.0", "x"] {
      let request = API.DowngradeRequest(action: .validate, version: version)
      add(Maintenance.downgrade, request, [.admin], [])
    }
    add(Maintenance.defragment, API.DefragmentRequest(), [.admin])
    add(Maintenance.hash, API.HashRequest(), [.admin], compares: false)
    add(Maintenance.hashKV, API.HashKVRequest(), [.admin], compares: false)
    add(Maintenance.snapshot, API.SnapshotRequest(), [.admin], compares: false)
    add(Auth.authStatus, API.AuthStatusRequest(), [.admin])
    add(Auth.authEnable, API.AuthEnableRequest(), [.admin])
    add(Auth.userGet, API.AuthUserGetRequest(name: "reader"), [.oneself(.reader)])
    add(Auth.userGet, API.AuthUserGetRequest(name: "root"), [.oneself(.root)])
    add(Auth.userList, API.AuthUserListRequest(), [.admin])
    add(Auth.roleGet, API.AuthRoleGetRequest(role: "writer"), [.role(.writer)])
    add(Auth.roleList, API.AuthRoleListRequest(), [.admin])
    for name in ["eve", "reader"] {
      let options = Authpb.UserAddOptions(noPassword: true)
      add(Auth.userAdd, API.AuthUserAddRequest(name: name, options: options), [.admin], lasts: true)
      add(Auth.roleAdd, API.AuthRoleAddRequest(name: name), [.admin], lasts: true)
    }
    add(
      Auth.roleGrantPermission,
      API.AuthRoleGrantPermissionRequest(
        name: "eve", perm: Authpb.Permission(permType: .read, key: "x")), [.admin], lasts: true)
    add(
      Auth.userGrantRole, API.AuthUserGrantRoleRequest(user: "eve", role: "eve"), [.admin],
      lasts: true)
    add(
      Auth.userRevokeRole, API.AuthUserRevokeRoleRequest(name: "eve", role: "eve"), [.admin],
      lasts: true)
    add(
      Auth.roleRevokePermission, API.AuthRoleRevokePermissionRequest(role: "eve", key: "x"),
      [.admin], lasts: true)
    add(
      Auth.userChangePassword, API.AuthUserChangePasswordRequest(name: "eve", password: "y"),
      [.admin], lasts: true)
    add(Auth.userDelete, API.AuthUserDeleteRequest(name: "eve"), [.admin], lasts: true)
    add(Auth.roleDelete, API.AuthRoleDeleteRequest(role: "eve"), [.admin], lasts: true)
    return rows
  }()

  /// The last of all: it ends the checks.
  static let disable = RightsRow(API.AuthService.authDisable, API.AuthDisableRequest()) { _ in
    [.admin]
  }
}
