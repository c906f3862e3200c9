import EtcdAPI
import Protobuf

/// Which method each path of the JSON gateway stands for.
///
/// - Source: etcd's `rpc.proto`, `v3lock.proto`, `v3election.proto`, as of 3.5.
enum GatewayRoutes {
  /// By path, below `/v3/`.
  static let methods: [String: MethodDescriptor] = {
    var methods: [String: MethodDescriptor] = [:]
    for (prefix, table) in tables {
      for (name, method) in table { methods[prefix + name] = method }
    }
    return methods
  }()

  private static let tables: [(String, [(String, MethodDescriptor)])] = [
    ("/v3/kv/", keys), ("/v3/watch", [("", Etcdserverpb.WatchService.watch)]),
    ("/v3/lease/", leases), ("/v3/kv/lease/", leases.filter { aliases.contains($0.0) }),
    ("/v3/cluster/member/", members), ("/v3/maintenance/", maintenance), ("/v3/auth/", auth),
    ("/v3/lock/", locks), ("/v3/election/", elections),
  ]

  private static let keys: [(String, MethodDescriptor)] = [
    ("range", Etcdserverpb.KVService.range), ("put", Etcdserverpb.KVService.put),
    ("deleterange", Etcdserverpb.KVService.deleteRange), ("txn", Etcdserverpb.KVService.txn),
    ("compaction", Etcdserverpb.KVService.compact),
  ]

  private static let leases: [(String, MethodDescriptor)] = [
    ("grant", Etcdserverpb.LeaseService.leaseGrant),
    ("revoke", Etcdserverpb.LeaseService.leaseRevoke),
    ("keepalive", Etcdserverpb.LeaseService.leaseKeepAlive),
    ("timetolive", Etcdserverpb.LeaseService.leaseTimeToLive),
    ("leases", Etcdserverpb.LeaseService.leaseLeases),
  ]
  /// Also served below the keys, where they were first.
  private static let aliases: Set = ["revoke", "timetolive", "leases"]

  private static let members: [(String, MethodDescriptor)] = [
    ("add", Etcdserverpb.ClusterService.memberAdd),
    ("remove", Etcdserverpb.ClusterService.memberRemove),
    ("update", Etcdserverpb.ClusterService.memberUpdate),
    ("list", Etcdserverpb.ClusterService.memberList),
    ("promote", Etcdserverpb.ClusterService.memberPromote),
  ]

  private static let maintenance: [(String, MethodDescriptor)] = [
    ("alarm", Etcdserverpb.MaintenanceService.alarm),
    ("status", Etcdserverpb.MaintenanceService.status),
    ("defragment", Etcdserverpb.MaintenanceService.defragment),
    ("hash", Etcdserverpb.MaintenanceService.hash),
    ("hashkv", Etcdserverpb.MaintenanceService.hashKV),
    ("snapshot", Etcdserverpb.MaintenanceService.snapshot),
    ("transfer-leadership", Etcdserverpb.MaintenanceService.moveLeader),
    ("downgrade", Etcdserverpb.MaintenanceService.downgrade),
  ]

  private static let auth: [(String, MethodDescriptor)] = [
    ("enable", Etcdserverpb.AuthService.authEnable),
    ("disable", Etcdserverpb.AuthService.authDisable),
    ("status", Etcdserverpb.AuthService.authStatus),
    ("authenticate", Etcdserverpb.AuthService.authenticate),
    ("user/add", Etcdserverpb.AuthService.userAdd),
    ("user/get", Etcdserverpb.AuthService.userGet),
    ("user/list", Etcdserverpb.AuthService.userList),
    ("user/delete", Etcdserverpb.AuthService.userDelete),
    ("user/changepw", Etcdserverpb.AuthService.userChangePassword),
    ("user/grant", Etcdserverpb.AuthService.userGrantRole),
    ("user/revoke", Etcdserverpb.AuthService.userRevokeRole),
    ("role/add", Etcdserverpb.AuthService.roleAdd),
    ("role/get", Etcdserverpb.AuthService.roleGet),
    ("role/list", Etcdserverpb.AuthService.roleList),
    ("role/delete", Etcdserverpb.AuthService.roleDelete),
    ("role/grant", Etcdserverpb.AuthService.roleGrantPermission),
    ("role/revoke", Etcdserverpb.AuthService.roleRevokePermission),
  ]

  private static let locks: [(String, MethodDescriptor)] = [
    ("lock", V3lockpb.LockService.lock), ("unlock", V3lockpb.LockService.unlock),
  ]

  private static let elections: [(String, MethodDescriptor)] = [
    ("campaign", V3electionpb.ElectionService.campaign),
    ("proclaim", V3electionpb.ElectionService.proclaim),
    ("leader", V3electionpb.ElectionService.leader),
    ("observe", V3electionpb.ElectionService.observe),
    ("resign", V3electionpb.ElectionService.resign),
  ]
}
