import Bytes
import EtcdAPI
import EventLoops
import Foundation
import Protobuf
import TestSupport
import Testing

/// Every RPC, whoever asks, at every depth: code, message and effect are what the model of the rights says and what
/// Go's server answers, over gRPC and over the JSON gateway. What is refused changes nothing.
///
/// Go's 3.5.1 is not asked where it allows what a later 3.5 refuses, as the model of both says: there the model alone
/// decides what ours answers.
@Suite(.serialized) struct RightsMatrixTests {
  private typealias API = Etcdserverpb
  private typealias Model = RightsModel

  @Test(.enabled(if: Binaries.go35 != nil)) @MainActor func everyRPCEveryCallerEveryDepth()
    async throws
  {
    let official = try #require(Binaries.go35)
    let clusters = [official, Binaries.ours].map {
      Cluster([$0], extra: AuthTests.cheap + ["--unsafe-no-fsync"])
    }
    for cluster in clusters { try cluster.start() }
    let loop = EventLoop(name: "rights")
    loop.start()
    defer { loop.stop() }
    var sides: [RightsSide] = []
    for cluster in clusters {
      sides.append(try await RightsSide(try await ServiceSide(cluster.members[0].clientPort, loop)))
    }
    defer { for side in sides { side.side.close() } }
    var matrix = Matrix(go: sides[0], ours: sides[1])
    for way in ServiceWay.allCases {
      // Over the gateway some of the keys are enough: behind it they are the same.
      func some(_ rows: [RightsRow], oneIn: Int) -> [RightsRow] {
        if way == .grpc || RightsRow.isWhole { return rows }
        return rows.enumerated().filter { $0.offset % oneIn == 0 }.map(\.element)
      }
      let rows =
        some(RightsRow.keyRows, oneIn: 3) + RightsRow.watches + RightsRow.leases + RightsRow.locks
        + RightsRow.others + some(RightsRow.transactions, oneIn: 7)
      for row in rows { try await matrix.ask(row, by: way) }
    }
    try await matrix.ask(RightsRow.disable, by: .gateway, but: .root)
    let real = await sides[0].ask(RightsRow.disable.call, .root, .grpc)
    let ours = await sides[1].ask(RightsRow.disable.call, .root, .grpc)
    #expect(real == ours && ours.refusal == nil, "\(real), \(ours)")
    print("rights: \(matrix.counts.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" })")
    #expect(matrix.differences.isEmpty, "\(matrix.differences.prefix(20).joined(separator: "\n"))")
    // Of everything there was something, at each depth.
    for depth in 0...4 {
      for word in ["served", "permission denied", "user name is empty", "invalid auth token"] {
        #expect(matrix.counts["\(depth) \(word)", default: 0] > 20, "\(depth) \(word)")
      }
    }
    #expect(matrix.counts["only ours", default: 0] < matrix.counts["both", default: 0])
  }

  /// A method without a row would be one that nobody has thought about.
  @Test func everyMethodHasItsRow() {
    let all =
      API.KVService.methods + API.WatchService.methods + API.LeaseService.methods
      + API.ClusterService.methods + API.MaintenanceService.methods + API.AuthService.methods
      + V3lockpb.LockService.methods + V3electionpb.ElectionService.methods
    let rows =
      RightsRow.keyRows + RightsRow.transactions + RightsRow.watches + RightsRow.leases
      + RightsRow.locks + RightsRow.others + [RightsRow.disable]
    // Whoever logs in has no token yet; etcd 3.5 has no streamed ranges.
    let missing = Set(all.map(\.path)).subtracting(rows.map(\.call.method.path))
    #expect(missing == [API.AuthService.authenticate.path, API.KVService.rangeStream.path])
  }

  @MainActor private struct Matrix {
    let go: RightsSide
    let ours: RightsSide
    var counts: [String: Int] = [:]
    var differences: [String] = []
    private var last: RightsState?

    init(go: RightsSide, ours: RightsSide) { (self.go, self.ours) = (go, ours) }

    mutating func ask(
      _ row: RightsRow, by way: ServiceWay, but other: Model.Caller? = nil
    ) async throws {
      for caller in Model.Caller.allCases where caller != other {
        if row.lasts, caller == .root, way == .gateway { continue }
        try await ask(row, caller, way)
      }
    }

    private mutating func ask(
      _ row: RightsRow, _ caller: Model.Caller, _ way: ServiceWay
    ) async throws {
      let rule = Model.refusal(row.needs(.newest), caller)
      var old = Model.refusal(row.needs(.v351), caller)
      let isWatch = row.call.method.name == "Watch"
      // Until 3.5.10 a watch was told one word for everything.
      if isWatch, old != nil { old = "permission denied" }
      counts["\(row.depth) \(rule ?? "served")", default: 0] += 1
      func check(_ isRight: Bool, _ what: @autoclosure () -> String) {
        guard !isRight else { return }
        differences.append("\(way) \(caller) \(row.call.text): \(what())")
      }
      let isFull = row.call.method.service != API.KVService.txn.service
      // In the gateway only since 3.5.2.
      if way == .gateway, row.call.method.name == "HashKV" { return }
      let start = ContinuousClock.now
      let before = try await known(isFull)
      let mine = await ours.ask(row.call, caller, way)
      check(ContinuousClock.now - start < .seconds(8), "ours waits: \(mine)")
      let word = Self.word(mine, row)
      check(word == rule, "rule: \(rule ?? "served"), ours: \(mine)")
      let after = try await ours.state(isFull)
      last = after
      if rule != nil { check(after == before, "refused and done: \(before) -> \(after)") }
      guard (rule == nil) == (old == nil) else {
        counts["only ours", default: 0] += 1
        return
      }
      counts["both", default: 0] += 1
      let real = await go.ask(row.call, caller, way)
      let isSilent = row.call.method.name == "Observe" && ["", "nothing"].contains(real.body)
      check(
        isSilent ? old != nil : Self.word(real, row) == old,
        "model of 3.5.1: \(old ?? "served"), real: \(real)")
      if rule == nil ? row.compares : (rule == old && !isWatch && !isSilent) {
        check(mine == real, "\n  real: \(real)\n  ours: \(mine)")
      }
      // What changes nothing with us is asked for once more with all that follows.
      guard rule == nil, after != before else { return }
      let state = try await go.state(isFull)
      // A session of its own has another number with each.
      check(!row.compares || state == after, "then real: \(state)\n  ours: \(after)")
      for side in [go, ours] { try await side.reset(isFull) }
      last = nil
    }

    /// Our state, as it was found last.
    private func known(_ isFull: Bool) async throws -> RightsState {
      if let last, !isFull || !last.others.isEmpty {
        return RightsState(
          revision: last.revision, pairs: last.pairs, others: isFull ? last.others : [])
      }
      return try await ours.state(isFull)
    }

    /// What an answer says about rights; `nil`: nothing. Who may not observe an election is told nothing by Go's, not
    /// even that; ours says why.
    private static func word(_ answer: ServiceAnswer, _ row: RightsRow) -> String? {
      let prefix = RightsRow.untranslated.contains(row.call.method.name) ? "auth: " : "etcdserver: "
      return ["permission denied", "user name is empty", "invalid auth token"].first {
        answer.reason.hasSuffix(prefix + $0)
      }
    }
  }
}

/// One server with the users and keys of the matrix.
@MainActor private final class RightsSide {
  let side: ServiceSide
  private var tokens: [RightsModel.Caller: String] = [.broken: "abcdefghijklmnop.1"]
  private typealias API = Etcdserverpb

  init(_ side: ServiceSide) async throws {
    self.side = side
    for caller in RightsModel.Caller.allCases where caller.isUser {
      let name = caller.rawValue
      try await done(API.AuthService.userAdd, API.AuthUserAddRequest(name: name, password: "pw"))
      try await done(API.AuthService.roleAdd, API.AuthRoleAddRequest(name: name))
      try await done(
        API.AuthService.userGrantRole, API.AuthUserGrantRoleRequest(user: name, role: name))
      for grant in caller.grants {
        let permission = Authpb.Permission(
          permType: grant.kind, key: Bytes(grant.keys.first), rangeEnd: Bytes(grant.keys.end))
        try await done(
          API.AuthService.roleGrantPermission,
          API.AuthRoleGrantPermissionRequest(name: name, perm: permission))
      }
    }
    try await done(API.AuthService.authEnable, API.AuthEnableRequest())
    for caller in RightsModel.Caller.allCases where caller.isUser {
      let login = API.AuthenticateRequest(name: caller.rawValue, password: "pw")
      tokens[caller] = try await side.reply(
        API.AuthenticateResponse.self, ServiceCall(API.AuthService.authenticate, login)
      ).token
    }
    try await reset(true)
  }

  private func done(_ method: MethodDescriptor, _ message: some ProtobufMessage) async throws {
    let answer = await side.ask(ServiceCall(method, message), token: tokens[.root])
    if let refusal = answer.refusal { throw NotHealthy(description: "\(method.name): \(refusal)") }
  }

  func ask(
    _ call: ServiceCall, _ caller: RightsModel.Caller, _ way: ServiceWay
  ) async -> ServiceAnswer {
    await side.ask(call, by: way, token: tokens[caller])
  }

  /// Keys as `RightsModel.leases` says; with leases, no other leases, and no alarm.
  func reset(_ isFull: Bool) async throws {
    if isFull {
      let alarm = API.AlarmRequest(action: .deactivate, memberID: 1, alarm: .nospace)
      try await done(API.MaintenanceService.alarm, alarm)
      let revoke = ServiceCall(API.LeaseService.leaseRevoke, API.LeaseRevokeRequest(id: 50))
      _ = await side.ask(revoke, token: tokens[.root])
    }
    try await done(API.KVService.deleteRange, API.DeleteRangeRequest(key: [0], rangeEnd: [0]))
    for lease in isFull ? RightsModel.leases.keys.sorted() : [] {
      // It is there unless it was revoked.
      let grant = API.LeaseGrantRequest(ttl: 10_000, id: lease)
      _ = await side.ask(ServiceCall(API.LeaseService.leaseGrant, grant), token: tokens[.root])
    }
    var puts = ["b", "c", "p/1", "p/e/3"].map { API.PutRequest(key: Bytes($0), value: "old") }
    for (lease, keys) in RightsModel.leases.sorted(by: { $0.key < $1.key }) {
      puts += keys.map { API.PutRequest(key: Bytes($0), value: "old", lease: lease) }
    }
    try await done(
      API.KVService.txn, API.TxnRequest(success: puts.map { .init(request: .requestPut($0)) }))
  }

  /// All that a call of the matrix may change.
  /// - Parameter isFull: not keys alone.
  func state(_ isFull: Bool) async throws -> RightsState {
    let token = tokens[.root]
    let range = API.RangeRequest(key: [0], rangeEnd: [0], serializable: true)
    let keys = try await side.reply(
      API.RangeResponse.self, ServiceCall(API.KVService.range, range), token: token)
    var state = RightsState(revision: keys.header?.revision ?? 0, pairs: keys.kvs)
    guard isFull else { return state }
    let leases = try await side.reply(
      API.LeaseLeasesResponse.self,
      ServiceCall(API.LeaseService.leaseLeases, API.LeaseLeasesRequest()), token: token
    ).leases.map(\.id).filter { $0 < 100 }.sorted()
    let members = try await side.reply(
      API.MemberListResponse.self,
      ServiceCall(API.ClusterService.memberList, API.MemberListRequest()), token: token
    ).members.map { "\($0.isLearner) \($0.isLearner ? $0.peerURLs : [])" }.sorted()
    let alarms = await side.ask(
      ServiceCall(API.MaintenanceService.alarm, API.AlarmRequest()), token: token)
    let auth = await side.ask(
      ServiceCall(API.AuthService.authStatus, API.AuthStatusRequest()), token: token)
    state.others = ["\(leases)", "\(members)", "\(alarms)", "\(auth)"]
    return state
  }
}

private struct RightsState: Equatable {
  var revision: Int64
  var pairs: [Mvccpb.KeyValue]
  var others: [String] = []
}
