import Checkers
import EtcdAPI
import MVCC
import Member
import MemberStorage
import Membership
import Raft

/// A cluster of members with simulated disks, clocks and network, and its clients, all decided by one
/// seed: the same options give the same run.
public final class Cluster {
  /// A place for a member: its disk outlives the process.
  struct Node {
    let info: MemberInfo
    var fileSystem: SimulatedFileSystem
    var member: SimulatedMember?
    /// Number of the process; what was planned for an earlier one is void.
    var life = 0
    var isTurnPlanned = false
    var isLogBusy = false
    var isStorageBusy = false
    var isLoopPlanned = false
    /// The process gets no processor before this time.
    var pausedUntil = 0
    /// Writes of the log hang before this time.
    var diskHangsUntil = 0
    /// Units between two ticks of this clock.
    var tickUnits = Cluster.tickUnits
    /// What a crash under way leaves.
    var crashMode = CrashMode.clean
    /// Members that the transport sends to.
    var peers: Set<MemberID> = []
  }

  static let tickUnits = 1000

  public let options: SimulationOptions
  var random: SplitMix64
  var queue = EventQueue()
  var now = 0
  var nodes: [MemberID: Node] = [:]
  /// Members, learners included, as far as the operator knows.
  var ids: [MemberID]
  let founders: [MemberInfo]
  let keys: [String]
  var faultsAllowed = true

  // Network.
  var cut: Set<Link> = []
  var lastDelivery: [Link: Int] = [:]
  var transfers: [Transfer] = []

  // Clients.
  var history: [Operation] = []
  var clock = 0
  var waiting: [MemberID: [RequestID: Int]] = [:]
  var clients: [Client] = []
  var nextValue = 0
  var callsAllowed = true
  var leaseWorld = LeaseWorld()
  var lockWorld = LockWorld()
  var authWorld = AuthWorld()
  var changeWorld = ChangeWorld()
  var watchWorld = WatchWorld()

  // Facts that must agree between members.
  var facts = SharedFacts()
  public internal(set) var problems: [String] = []
  /// Counts of what happened.
  public internal(set) var counters = SimulationCounters()
  /// A digest of everything that happened, in order.
  public private(set) var digest: UInt64 = 0xcbf2_9ce4_8422_2325
  var log: ((String) -> Void)?

  struct Link: Hashable {
    let from: MemberID
    let to: MemberID
  }

  public init(_ options: SimulationOptions, log: ((String) -> Void)? = nil) {
    self.options = options
    self.log = log
    random = SplitMix64(seed: options.seed)
    keys = (0..<options.keys).map { "k\($0)" }
    let infos = (0..<(options.members + options.spares)).map { number in
      let url = "http://10.0.0.\(number + 1):2380"
      return MemberInfo(
        id: Identity.memberID(peerURLs: [url], token: "simulation"), peerURLs: [url],
        name: "m\(number + 1)")
    }
    founders = Array(infos.prefix(options.members))
    ids = founders.map(\.id)
    changeWorld.spares = infos.dropFirst(options.members).map(\.id)
    leaseWorld.holders = (0..<options.leaseHolders).map { _ in LeaseWorld.Holder() }
    lockWorld.clients = (0..<options.lockers).map { _ in LockWorld.Client() }
    clients = (0..<options.clients).map { _ in Client() }
    for info in infos {
      let fileSystem = SimulatedFileSystem()
      fileSystem.ignoresSync = options.mutant == .ignoresSync
      nodes[info.id] = Node(info: info, fileSystem: fileSystem)
    }
  }

  /// Runs faults and load, then mends everything and checks that the cluster recovers and that what
  /// clients saw is consistent.
  public func run() {
    for id in ids { start(id) }
    for client in clients.indices { queue.add(.call(client: client), at: random.below(5000)) }
    for holder in leaseWorld.holders.indices {
      queue.add(.lease(holder: holder), at: random.below(5000))
    }
    for client in lockWorld.clients.indices {
      queue.add(.lock(client: client), at: random.below(5000))
    }
    for client in 0..<options.watchers {
      watchWorld.clients.append(WatchWorld.Client(number: client, keys: keys))
      queue.add(.watch(client: client), at: random.below(5000))
    }
    if options.auth { queue.add(.authStep, at: random.below(50 * Self.tickUnits)) }
    if options.spares > 0 { queue.add(.changeStep, at: 20 * Self.tickUnits) }
    queue.add(.fault, at: 20 * Self.tickUnits)
    work(until: options.faultTicks * Self.tickUnits) { false }
    if problems.isEmpty { heal() }
    if problems.isEmpty { checkRevocations() }
    if problems.isEmpty { checkWatchers() }
    if problems.isEmpty {
      problems += HistoryCheck.problems(of: history, keys: keys).map(\.text)
    }
    note(UInt64(history.count))
  }

  /// Lets things happen until a time, a condition, or a violation.
  func work(until end: Int, _ isDone: () -> Bool) {
    while problems.isEmpty, let (time, action) = queue.next() {
      if time > end {
        queue.add(action, at: time)
        now = end
        return
      }
      now = time
      counters.events += 1
      handle(action)
      if isDone() { return }
    }
  }

  private func handle(_ action: EventQueue.Action) {
    note(UInt64(now))
    switch action {
    case .tick(let id, let life): if nodes[id]!.life == life { tick(id) }
    case .commit(let id, let life): if nodes[id]!.life == life { commit(id) }
    case .turn(let id, let life): if nodes[id]!.life == life { turn(id) }
    case .log(let id, let life): if nodes[id]!.life == life { runLog(id) }
    case .loop(let id, let life): if nodes[id]!.life == life { runLoop(id) }
    case .storage(let id, let life): if nodes[id]!.life == life { runStorage(id) }
    case .deliver(let message): deliver(message)
    case .transfer(let number): continueTransfer(number)
    case .call(let client): call(client)
    case .giveUp(let operation): giveUp(operation)
    case .lease(let holder): stepLease(holder)
    case .lock(let client): stepLock(client)
    case .authStep: stepAuth()
    case .changeStep: stepChange()
    case .watch(let client): stepWatch(client)
    case .scan(let id, let life): if nodes[id]!.life == life { scan(id) }
    case .scanned(let id, let life): if nodes[id]!.life == life { scanned(id) }
    case .retire(let id, let life): if nodes[id]!.life == life { retire(id) }
    case .fault: fault()
    case .restart(let id, let life): if nodes[id]!.life == life { start(id) }
    case .mend: cut = []
    }
  }

  func trace(_ text: @autoclosure () -> String) {
    if let log { log("\(now): \(text())") }
  }

  func name(_ id: MemberID) -> String { nodes[id]?.info.name ?? "?\(id)" }

  /// Adds a number to the digest.
  func note(_ value: UInt64) { digest = (digest ^ value) &* 0x100_0000_01b3 }

  func chance(oneIn n: Int) -> Bool { n > 0 && random.below(n) == 0 }
}

/// How often things happened in a run.
public struct SimulationCounters: Sendable {
  public var events = 0
  public var crashes = 0
  public var snapshotsSent = 0
  public var snapshotsInstalled = 0
  public var repairs = 0
  public var elections = 0
  public var acknowledged = 0
  public var unknown = 0
  public var defragmentations = 0
  public var compactions = 0
  public var leasesRenewed = 0
  public var leasesExpired = 0
  public var locksHeld = 0
  public var authChanges = 0
  public var memberChanges = 0
  public var failedSyncs = 0
  /// Events that clients were sent, and how often one had to begin anew behind a compaction.
  public var watchEvents = 0
  public var watchesCompacted = 0

  public init() {}

  /// Sums up runs.
  public static func += (a: inout SimulationCounters, b: SimulationCounters) {
    a.events += b.events
    a.crashes += b.crashes
    a.snapshotsSent += b.snapshotsSent
    a.snapshotsInstalled += b.snapshotsInstalled
    a.repairs += b.repairs
    a.elections += b.elections
    a.acknowledged += b.acknowledged
    a.unknown += b.unknown
    a.defragmentations += b.defragmentations
    a.compactions += b.compactions
    a.leasesRenewed += b.leasesRenewed
    a.leasesExpired += b.leasesExpired
    a.locksHeld += b.locksHeld
    a.authChanges += b.authChanges
    a.memberChanges += b.memberChanges
    a.failedSyncs += b.failedSyncs
    a.watchEvents += b.watchEvents
    a.watchesCompacted += b.watchesCompacted
  }
}
