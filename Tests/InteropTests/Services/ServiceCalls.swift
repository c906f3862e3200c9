import Bytes
import EtcdAPI
import Protobuf
import TestSupport

/// Requests of all services by chance, right and wrong ones, that never wait.
struct ServiceCalls {
  typealias API = Etcdserverpb

  /// A request; where members are named, each server has its own number for them.
  enum Step: Sendable {
    case same(ServiceCall)
    /// With the number of the member that has a URL; without one, an unknown number.
    case member(url: String, @Sendable (UInt64) -> ServiceCall)
    /// A body for the gateway that may be no JSON.
    case raw(ServiceCall)

    /// `nil`: whichever way.
    var isForGateway: Bool? {
      switch self {
      case .raw: true
      // There only since 3.5.2.
      case .same(let call) where call.method.name == "HashKV": false
      default: nil
      }
    }
  }

  var random: SeededGenerator {
    get { keys.random }
    set { keys.random = newValue }
  }
  var keys: DifferentialTests.Generator
  /// Leaders that were told of.
  var leaders: [V3electionpb.LeaderKey] = []
  private var members = 0
  /// Whether space may be out. Puts in inner transactions do not count there before 3.5.33.
  var isFull = false

  init(_ random: SeededGenerator) { keys = DifferentialTests.Generator(random: random) }

  mutating func chance(_ n: Int) -> Bool { keys.chance(n) }
  mutating func below(_ n: Int) -> Int { Int.random(in: 0..<n, using: &keys.random) }
  mutating func lease() -> Int64 { Int64(below(4) + 1) }

  mutating func next() throws -> Step {
    switch below(100) {
    case 0..<34: return .same(try keyValue())
    case 34..<50: return .same(leases())
    case 50..<60: return cluster()
    case 60..<70: return .same(maintenance())
    case 70..<80: return .same(users())
    case 80..<93: return .same(locks())
    case 93..<96: return .same(watch())
    default: return .raw(broken(try keyValue()))
    }
  }

  // MARK: Keys

  private mutating func keyValue() throws -> ServiceCall {
    while true {
      let (method, request) = keys.next()
      guard method.service == API.KVService.put.service else { continue }
      switch method.name {
      case "Range":
        return ServiceCall(method, Self.ordered(try API.RangeRequest.decode(request)))
      case "Txn":
        let txn = Self.ordered(try API.TxnRequest.decode(request))
        if isFull, Self.isNested(txn) { continue }
        return ServiceCall(method, txn)
      case "Put": return ServiceCall(method, try API.PutRequest.decode(request))
      case "DeleteRange": return ServiceCall(method, try API.DeleteRangeRequest.decode(request))
      default: return ServiceCall(method, try API.CompactionRequest.decode(request))
      }
    }
  }

  /// By key: in which order Go's sort leaves equal elements is its own affair.
  private static func ordered(_ range: API.RangeRequest) -> API.RangeRequest {
    var range = range
    range.sortTarget = .key
    return range
  }

  private static func ordered(_ txn: API.TxnRequest) -> API.TxnRequest {
    func ordered(_ operations: [API.RequestOp]) -> [API.RequestOp] {
      operations.map { operation in
        switch operation.request {
        case .requestRange(let range): .init(request: .requestRange(Self.ordered(range)))
        case .requestTxn(let inner): .init(request: .requestTxn(Self.ordered(inner)))
        default: operation
        }
      }
    }
    return API.TxnRequest(
      compare: txn.compare, success: ordered(txn.success), failure: ordered(txn.failure))
  }

  private static func isNested(_ txn: API.TxnRequest) -> Bool {
    (txn.success + txn.failure).contains { operation in
      if case .requestTxn = operation.request { return true }
      return false
    }
  }

  private mutating func watch() -> ServiceCall {
    let key = keys.key()
    var create = API.WatchCreateRequest(key: key, rangeEnd: keys.end(key))
    create.startRevision = chance(2) ? 0 : max(0, keys.revision - Int64(below(20)))
    create.prevKv = chance(2)
    if chance(3) { create.watchID = Int64(below(9)) }
    return ServiceCall(
      API.WatchService.watch, API.WatchRequest(requestUnion: .createRequest(create)))
  }

  // MARK: Leases

  private mutating func leases() -> ServiceCall {
    typealias Lease = API.LeaseService
    switch below(12) {
    case 0...3:
      // None that ends while the requests run.
      let lives = [Int64(1000 + below(1000)), 9_000_000_000, 9_000_000_001, Int64.max]
      let life = chance(6) ? lives[below(4)] : lives[0]
      return ServiceCall(Lease.leaseGrant, API.LeaseGrantRequest(ttl: life, id: lease()))
    case 4, 5:
      return ServiceCall(
        Lease.leaseRevoke, API.LeaseRevokeRequest(id: chance(9) ? -1 : lease()))
    case 6, 7: return ServiceCall(Lease.leaseKeepAlive, API.LeaseKeepAliveRequest(id: lease()))
    case 8: return ServiceCall(Lease.leaseLeases, API.LeaseLeasesRequest())
    default:
      return ServiceCall(
        Lease.leaseTimeToLive, API.LeaseTimeToLiveRequest(id: lease(), keys: chance(2)))
    }
  }

  // MARK: Members

  private mutating func cluster() -> Step {
    typealias Cluster = API.ClusterService
    // A member that was removed may not come back within a second: each has a URL of its own.
    if chance(3) { members += 1 }
    let url = "http://127.0.0.1:\(members % 60_000 + 1)"
    switch below(12) {
    case 0...2:
      let list = API.MemberListRequest(linearizable: chance(2))
      return .same(ServiceCall(Cluster.memberList, list))
    case 3...5:
      var request = API.MemberAddRequest(peerURLs: [url], isLearner: true)
      if chance(4) {
        let bad = [
          [], [""], ["x"], ["http://"], ["http://a"], ["http://a:b"], ["ftp://a:1"],
          ["http://a:1/path"], [url, url], [" \(url)"], ["unix://a:1"], ["http://[::1]:2"],
        ]
        request.peerURLs = bad[below(bad.count)]
        // What is good of these may stay a while: there is room for one learner.
      }
      return .same(ServiceCall(Cluster.memberAdd, request))
    case 6...8:
      return .member(url: url) {
        ServiceCall(Cluster.memberRemove, API.MemberRemoveRequest(id: $0))
      }
    case 9:
      // One that nobody knows: of a learner Go 3.5.1 makes a voter, which 3.5.30 mended.
      let update = API.MemberUpdateRequest(id: 7, peerURLs: [url])
      return .same(ServiceCall(Cluster.memberUpdate, update))
    default:
      return .member(url: url) {
        ServiceCall(Cluster.memberPromote, API.MemberPromoteRequest(id: $0))
      }
    }
  }

  private mutating func maintenance() -> ServiceCall {
    typealias Maintenance = API.MaintenanceService
    switch below(20) {
    case 0...5: return ServiceCall(Maintenance.alarm, API.AlarmRequest())
    case 6:
      let alarm = API.AlarmType(rawValue: Int32(below(2)))
      return ServiceCall(
        Maintenance.alarm,
        API.AlarmRequest(action: .activate, memberID: UInt64(below(3)), alarm: alarm))
    case 7...11:
      let alarm = API.AlarmType(rawValue: Int32(below(3)))
      return ServiceCall(
        Maintenance.alarm,
        API.AlarmRequest(action: .deactivate, memberID: UInt64(below(3)), alarm: alarm))
    case 12: return ServiceCall(Maintenance.status, API.StatusRequest())
    case 13, 14:
      return ServiceCall(Maintenance.moveLeader, API.MoveLeaderRequest(targetID: UInt64(below(4))))
    case 15: return ServiceCall(Maintenance.hash, API.HashRequest())
    case 16:
      let revision = [keys.revision + 7, Int64.max, 1 << 40][below(3)]
      return ServiceCall(Maintenance.hashKV, API.HashKVRequest(revision: revision))
    case 17:
      return chance(6)
        ? ServiceCall(Maintenance.defragment, API.DefragmentRequest())
        : ServiceCall(Maintenance.moveLeader, API.MoveLeaderRequest())
    default:
      let versions = ["3.4.0", "3.5.0", "3.3", "x", "", "3.6.0", "4.0.0", "v3.4.0", "3.4.0-rc1"]
      var request = API.DowngradeRequest(action: .validate, version: versions[below(9)])
      if chance(3) { request.action = .cancel }
      if chance(8) { request.action = .init(rawValue: 7) }
      return ServiceCall(Maintenance.downgrade, request)
    }
  }

  // MARK: Users

  /// While nobody is checked.
  private mutating func users() -> ServiceCall {
    var generator = AuthDifferentialTests.Generator(random: random)
    defer { random = generator.random }
    while true {
      let step = chance(2) ? generator.users() : generator.roles()
      guard let call = try? ServiceCall(decoding: step.method, step.request) else { continue }
      return chance(9)
        ? ServiceCall(API.AuthService.authStatus, API.AuthStatusRequest()) : call
    }
  }

  // MARK: Locks

  /// Each session has names of its own: nobody waits.
  private mutating func locks() -> ServiceCall {
    typealias Lock = V3lockpb.LockService
    typealias Election = V3electionpb.ElectionService
    let lease = chance(12) ? 99 : lease()
    let (lock, election) = (Bytes("l\(lease)"), Bytes("e\(lease)"))
    switch below(9) {
    case 0, 1: return ServiceCall(Lock.lock, V3lockpb.LockRequest(name: lock, lease: lease))
    case 2:
      let key = chance(9) ? Bytes() : Bytes("l\(lease)/\(lease)")
      return ServiceCall(Lock.unlock, V3lockpb.UnlockRequest(key: key))
    case 3, 4:
      return ServiceCall(
        Election.campaign,
        V3electionpb.CampaignRequest(
          name: election, lease: lease, value: Bytes("v\(below(3))")))
    case 5: return ServiceCall(Election.leader, V3electionpb.LeaderRequest(name: election))
    case 6, 7:
      return ServiceCall(
        Election.proclaim,
        V3electionpb.ProclaimRequest(leader: leader(), value: Bytes("p\(below(3))")))
    default:
      return ServiceCall(Election.resign, V3electionpb.ResignRequest(leader: leader()))
    }
  }

  private mutating func leader() -> V3electionpb.LeaderKey? {
    if chance(12) { return nil }
    guard var leader = leaders.suffix(8).randomElement(using: &keys.random) else { return nil }
    if chance(6) { leader.rev += 1 }
    if chance(20) { leader.lease = 99 }
    return leader
  }

  // MARK: Bodies

  /// The same with a few bytes changed.
  private mutating func broken(_ call: ServiceCall) -> ServiceCall {
    var text = Array(call.json.string.unicodeScalars)
    // No escapes: Go reads numbers in quotes as they are written, ours as they are meant.
    let odd = Array("{}[]\":,0159-+.eEtfn ux\u{e9}".unicodeScalars)
    for _ in 0...below(2) where !text.isEmpty {
      let at = below(text.count)
      switch below(3) {
      case 0: text.remove(at: at)
      case 1: text.insert(odd[below(odd.count)], at: at)
      default: text[at] = odd[below(odd.count)]
      }
    }
    var call = call
    call.json = Bytes(String(String.UnicodeScalarView(text)))
    return call
  }
}

extension ServiceCall {
  /// - Throws: when the bytes are no request of the method.
  init(decoding method: MethodDescriptor, _ bytes: Bytes) throws {
    func make<Message: ProtobufMessage>(_ type: Message.Type) throws -> ServiceCall {
      ServiceCall(method, try Message.decode(bytes))
    }
    self = try make(method.requestType)
  }
}
