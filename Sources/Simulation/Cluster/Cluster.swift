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
  final class Node {
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
    /// Every operation of the disk takes ten times as long before this time, and every message.
    var diskIsSlowUntil = 0
    var slowUntil = 0
    /// Units between two ticks of this clock.
    var tickUnits = Cluster.tickUnits
    /// The time of day that the process reads when it starts.
    var wallClock = WallClock.right
    /// When the process started.
    var started = 0
    /// What a crash under way leaves.
    var crashMode = CrashMode.clean
    /// Crashes so far that took away what was not synced, removals of files among it.
    var lossyCrashes = 0
    /// Members that the transport sends to.
    var peers: Set<MemberID> = []
    /// Who is at the address now that the member has left for good.
    var successor: MemberID?

    init(info: MemberInfo, fileSystem: SimulatedFileSystem) {
      self.info = info
      self.fileSystem = fileSystem
    }
  }

  /// How the time of day goes at a member.
  enum WallClock {
    case right
    case ahead(Int)
    /// It begins at the same time after each start.
    case stopped
  }

  static let tickUnits = 1000

  public let options: SimulationOptions
  var random: SplitMix64
  var queue = EventQueue()
  var now = 0
  var nodes: [MemberID: Node] = [:]
  /// Members, learners included, as far as the operator knows.
  var ids: [MemberID]
  /// The first members, or those that the cluster began anew with.
  var founders: [MemberInfo]
  let keys: [String]
  var faultsAllowed = true

  // Network.
  var cut: Set<Link> = []
  var lastDelivery: [Link: Int] = [:]
  /// Those under way, by number.
  var transfers: [Int: Transfer] = [:]

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
  var alarmWorld = AlarmWorld()
  var damageWorld = DamageWorld()
  var restoreWorld = RestoreWorld()
  var v2World = V2World()
  var lifeWorld = LifeWorld()

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
    clients = (0..<max(options.clients, inspector + 1)).map { _ in Client() }
    for info in infos {
      let fileSystem = SimulatedFileSystem()
      fileSystem.ignoresSync = options.mutant == .ignoresSync
      nodes[info.id] = Node(info: info, fileSystem: fileSystem)
    }
  }

  /// Runs faults and load, then mends everything and checks that the cluster recovers and that what
  /// clients saw is consistent.
  public func run() {
    begin()
    if let life = options.life {
      live(life)
    } else {
      work(until: options.faultTicks * options.pace * Self.tickUnits) { false }
      if problems.isEmpty { heal() }
      judge()
    }
    counters.milliseconds = milliseconds(now)
    note(UInt64(history.count))
  }

  private func begin() {
    for id in ids { start(id) }
    for client in 0..<options.clients { queue.add(.call(client: client), at: random.below(5000)) }
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
    if options.spares > 0 || !FaultKind.changing.isDisjoint(with: options.faults) {
      queue.add(.changeStep, at: 20 * Self.tickUnits)
    }
    for client in 0..<options.v2Clients { queue.add(.v2(client: client), at: random.below(5000)) }
    if has(.quotaAlarm) { queue.add(.alarm, at: 20 * Self.tickUnits) }
    queue.add(.fault, at: 20 * Self.tickUnits)
  }

  /// Checks what can be checked when all is whole.
  func judge() {
    if problems.isEmpty { checkRevocations() }
    if problems.isEmpty { checkRefusals() }
    if problems.isEmpty { checkWatchers() }
    if problems.isEmpty {
      problems += HistoryCheck.problems(of: history, keys: keys).map(\.text)
    }
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
    if mustWait(action) { return queue.add(action, at: now + Self.tickUnits) }
    if let time = rest(before: action) { return queue.add(action, at: time) }
    switch action {
    case .tick(let id, let life): if nodes[id]!.life == life { tick(id) }
    case .commit(let id, let life): if nodes[id]!.life == life { commit(id) }
    case .turn(let id, let life): if nodes[id]!.life == life { turn(id) }
    case .log(let id, let life): if nodes[id]!.life == life { runLog(id) }
    case .loop(let id, let life): if nodes[id]!.life == life { runLoop(id) }
    case .storage(let id, let life): if nodes[id]!.life == life { runStorage(id) }
    case .deliver(let message, let id): deliver(message, to: id)
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
    case .freeSpace(let id): freeSpace(id)
    case .expose(let id): expose(id)
    case .alarm: stepAlarm()
    case .restore: stepRestore()
    case .v2(let client): stepV2(client)
    case .burst(let chapter): if lifeWorld.chapter == chapter { beginBurst() }
    case .calm(let chapter): if lifeWorld.chapter == chapter { endBurst() }
    case .strike: strike()
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
