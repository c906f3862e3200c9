import Bytes
import EtcdAPI

@testable import Raft

/// A group of members in one thread with a network that loses, repeats and reorders messages and
/// members that crash and lose what was not synced. Checks what raft promises at every step.
///
/// The applied state is a digest over all entries, so two members that differ in any applied entry
/// differ in every digest after it.
struct SimulatedGroup {
  struct Options {
    var members = 3
    var isAsync = false
    var preVote = false
    var checkQuorum = false
    var changesMembers = false
    var inflight = 4
    var inflightBytes: UInt64 = 0
  }

  struct Member {
    var raw: RawNode<MemoryStorage>
    /// What survives a crash.
    var disk: MemoryStorage
    var appendWork: [Raftpb.Message] = []
    var applyWork: [Raftpb.Message] = []
    var applied: UInt64
    var digest: UInt64
    var confState: Raftpb.ConfState
    var isUp = true
    /// Reads asked for: context number to the lowest index that is a correct answer.
    var reads: [UInt64: UInt64] = [:]
  }

  let options: Options
  var random: SplitMix64
  var members: [UInt64: Member] = [:]
  var network: [Raftpb.Message] = []
  /// Digest after each applied index, whoever applied it first.
  private(set) var digests: [UInt64: UInt64] = [1: 0]
  /// Id of each applied entry.
  private(set) var chosen: [UInt64: EntryID] = [:]
  private(set) var leaders: [UInt64: UInt64] = [:]
  private(set) var highestApplied: UInt64 = 1
  private(set) var readsAnswered = 0
  private(set) var snapshotsRestored = 0
  private(set) var failures: [String] = []
  private var nextProposal: UInt64 = 0
  var isNetworkFaulty = true
  /// Members on one side of a cut.
  private var cutOff: Set<UInt64> = []

  init(seed: UInt64, _ options: Options) throws {
    self.options = options
    random = SplitMix64(seed: seed)
    let ids = (1...UInt64(options.members)).map { $0 }
    var storage = MemoryStorage()
    let state = Raftpb.ConfState(voters: ids)
    try storage.applySnapshot(
      Raftpb.Snapshot(
        data: Self.bytes(0),
        metadata: Raftpb.SnapshotMetadata(confState: state, index: 1, term: 1)))
    for id in ids {
      let raw = try RawNode(config(id, applied: 0), storage: storage)
      members[id] = Member(
        raw: raw, disk: storage, applied: 1, digest: 0, confState: state)
    }
  }

  static func bytes(_ value: UInt64) -> Bytes {
    var writer = ByteWriter(capacity: 16)
    writer.appendLittleEndian(value)
    return writer.finish()
  }

  static func number(_ bytes: Bytes) -> UInt64 {
    var reader = ByteReader(bytes)
    return reader.readLittleEndian(UInt64.self) ?? 0
  }

  private mutating func config(_ id: UInt64, applied: UInt64) -> RaftConfig {
    RaftConfig(
      id: id, electionTicks: 10, heartbeatTicks: 2, applied: applied,
      asyncStorageWrites: options.isAsync, maxSizePerMessage: 64,
      maxUncommittedEntriesSize: 4096, maxInflightMessages: options.inflight,
      maxInflightBytes: options.inflightBytes, checkQuorum: options.checkQuorum,
      preVote: options.preVote, random: SplitMix64(seed: random.next()))
  }

  mutating func fail(_ reason: String) { failures.append(reason) }

  // MARK: Steps

  mutating func step() throws {
    let ids = members.keys.sorted()
    let id = ids[random.below(ids.count)]
    switch random.below(100) {
    case 0..<43: deliver()
    case 43: if isNetworkFaulty && random.below(2) == 0 { partition(ids) }
    case 44: members[id]?.raw.campaign()
    case 45..<60: members[id]?.raw.tick()
    case 60..<80: try work(id)
    case 80..<87: propose(id)
    case 87..<91: read(id)
    case 91..<93: if options.changesMembers { changeMembers(id) }
    case 93..<95: try compact(id)
    case 95..<96: members[id]?.raw.transferLeader(to: ids[random.below(ids.count)])
    case 96..<97: members[id]?.raw.forgetLeader()
    case 97..<98: if isNetworkFaulty { try crash(id) }
    default: try work(id)
    }
    for id in ids { noteLeader(id) }
  }

  /// Puts a random part of the group on the other side of a cut, or mends it.
  private mutating func partition(_ ids: [UInt64]) {
    cutOff = random.below(3) == 0 ? [] : Set(ids.filter { _ in random.below(2) == 0 })
  }

  private mutating func deliver() {
    guard !network.isEmpty else { return }
    let at = isNetworkFaulty ? random.below(network.count) : 0
    let message = isNetworkFaulty && random.below(10) == 0 ? network[at] : network.remove(at: at)
    let isCut = cutOff.contains(message.from) != cutOff.contains(message.to)
    let isLost = isCut || (isNetworkFaulty && random.below(10) == 0)
    let isRefused = isLost || members[message.to] == nil
    if message.type == .snap {
      members[message.from]?.raw.reportSnapshot(message.to, failed: isRefused)
    } else if isLost && random.below(2) == 0 {
      members[message.from]?.raw.reportUnreachable(message.to)
    }
    if isRefused { return }
    do {
      try members[message.to]?.raw.step(message)
    } catch {
      if case .malformedMessage = error { fail("\(message.type.text) refused: \(error)") }
    }
  }

  private mutating func propose(_ id: UInt64) {
    let batch = (0...random.below(3)).map { _ in
      nextProposal += 1
      return Self.bytes(nextProposal)
    }
    try? members[id]?.raw.propose(batch)  // Dropped when there is no leader: the client's loss.
  }

  private mutating func read(_ id: UInt64) {
    nextProposal += 1
    members[id]?.reads[nextProposal] = highestApplied
    members[id]?.raw.readIndex(context: Self.bytes(nextProposal))
  }

  private mutating func changeMembers(_ id: UInt64) {
    let kinds: [Raftpb.ConfChangeType] = [.addNode, .addNode, .removeNode, .addLearnerNode]
    let changes = (0...random.below(2)).map { _ in
      Raftpb.ConfChangeSingle(
        type: kinds[random.below(kinds.count)], nodeID: UInt64(1 + random.below(options.members)))
    }
    let change = Raftpb.ConfChangeV2(
      transition: random.below(2) == 0 ? .auto : .jointImplicit, changes: changes)
    try? members[id]?.raw.proposeConfChange(.v2(change))  // Dropped as a proposal is.
  }

  private mutating func compact(_ id: UInt64) throws {
    guard var member = members[id], member.applied > member.raw.storage.snapshot().metadata.index,
      member.applied <= member.raw.storage.lastIndex
    else { return }
    _ = try member.raw.storage.createSnapshot(
      at: member.applied, confState: member.confState, data: Self.bytes(member.digest))
    let keep = UInt64(random.below(4))
    if member.applied >= member.raw.storage.firstIndex + keep {
      try member.raw.storage.compact(to: member.applied - keep)
    }
    member.raw.storage.hardState.commit = max(
      member.raw.storage.hardState.commit, member.applied)
    member.disk = member.raw.storage
    members[id] = member
  }

  private mutating func crash(_ id: UInt64) throws {
    guard let member = members[id] else { return }
    let snapshot = member.disk.snapshot()
    let raw = try RawNode(
      config(id, applied: snapshot.metadata.index), storage: member.disk)
    members[id] = Member(
      raw: raw, disk: member.disk, applied: snapshot.metadata.index,
      digest: Self.number(snapshot.data), confState: snapshot.metadata.confState)
  }

  // MARK: Work of a member

  mutating func work(_ id: UInt64) throws {
    guard var member = members[id] else { return }
    defer { members[id] = member }
    if member.raw.hasReady {
      let ready = member.raw.ready()
      for state in ready.readStates { answer(state, &member) }
      if options.isAsync {
        accept(ready.messages, &member)
      } else {
        write(
          ready.hardState, ready.entries, ready.snapshot, mustSync: ready.mustSync, &member)
        network += ready.messages
        try apply(ready.committedEntries, &member)
        member.raw.advance()
      }
    }
    if options.isAsync && random.below(2) == 0 { try workThreads(&member) }
  }

  private mutating func accept(_ messages: [Raftpb.Message], _ member: inout Member) {
    for message in messages {
      switch message.to {
      case RaftNodeID.appendThread: member.appendWork.append(message)
      case RaftNodeID.applyThread: member.applyWork.append(message)
      default: network.append(message)
      }
    }
  }

  private mutating func workThreads(_ member: inout Member) throws {
    if !member.appendWork.isEmpty {
      let work = member.appendWork.removeFirst()
      let state = Raftpb.HardState(term: work.term, vote: work.vote, commit: work.commit)
      write(
        state.isEmpty ? nil : state, work.entries, work.snapshot,
        mustSync: !work.responses.isEmpty, &member)
      try respond(work.responses, &member)
    }
    if !member.applyWork.isEmpty && random.below(2) == 0 {
      let work = member.applyWork.removeFirst()
      try apply(work.entries, &member)
      try respond(work.responses, &member)
    }
  }

  private mutating func respond(_ responses: [Raftpb.Message], _ member: inout Member) throws {
    for response in responses {
      if response.to == member.raw.id {
        do {
          try member.raw.step(response)
        } catch .peerNotFound {
          continue  // A removed member's answer to itself.
        }
      } else {
        network.append(response)
      }
    }
  }

  private mutating func write(
    _ state: Raftpb.HardState?, _ entries: [Raftpb.Entry], _ snapshot: Raftpb.Snapshot?,
    mustSync: Bool, _ member: inout Member
  ) {
    if var state {
      // A write handed out before a snapshot was made must not take the commit index back.
      state.commit = max(state.commit, member.raw.storage.snapshot().metadata.index)
      member.raw.storage.hardState = state
    }
    if let snapshot {
      do {
        try member.raw.storage.applySnapshot(snapshot)
        snapshotsRestored += 1
        member.applied = snapshot.metadata.index
        member.digest = Self.number(snapshot.data)
        member.confState = snapshot.metadata.confState
      } catch {
        fail("snapshot at \(snapshot.metadata.index) refused: \(error)")
      }
    }
    member.raw.storage.append(entries)
    if mustSync || snapshot != nil || random.below(2) == 0 { member.disk = member.raw.storage }
  }

  private mutating func apply(_ entries: [Raftpb.Entry], _ member: inout Member) throws {
    for entry in entries {
      // Handed out before a snapshot arrived that covers it; only threads can be that late.
      if options.isAsync && entry.index <= member.applied { continue }
      if entry.index != member.applied + 1 {
        fail("\(member.raw.id) applies \(entry.index) after \(member.applied)")
      }
      if let known = chosen[entry.index], known != entry.id {
        fail("index \(entry.index): \(member.raw.id) applies \(entry.id), another \(known)")
      }
      chosen[entry.index] = entry.id
      if let change = try entry.confChange() {
        do {
          member.confState = try member.raw.applyConfChange(change, at: entry.index)
        } catch {
          // Not possible any more; every member refuses it alike.
          guard case RaftError.confChange = error else { throw error }
        }
      }
      member.applied = entry.index
      member.digest = (member.digest &* 31) ^ (entry.term &* 7 &+ Self.number(entry.data))
      if let known = digests[entry.index], known != member.digest {
        fail("states differ after index \(entry.index)")
      }
      digests[entry.index] = member.digest
      highestApplied = max(highestApplied, entry.index)
    }
  }

  // MARK: Checks

  private mutating func answer(_ state: ReadState, _ member: inout Member) {
    guard let lowest = member.reads.removeValue(forKey: Self.number(state.context)) else { return }
    readsAnswered += 1
    if state.index < lowest {
      fail("stale read: index \(state.index), but \(lowest) was applied before")
    }
  }

  /// One leader a term, and its log holds everything that was applied anywhere.
  private mutating func noteLeader(_ id: UInt64) {
    guard let core = members[id]?.raw.core, core.role == .leader else { return }
    if let other = leaders[core.term] {
      if other != id { fail("\(other) and \(id) lead in term \(core.term)") }
      return
    }
    leaders[core.term] = id
    for (index, entry) in chosen where index >= core.log.firstIndex {
      if core.log.term(of: index) != entry.term {
        fail("leader \(id) of term \(core.term) lacks the chosen entry \(entry)")
      }
    }
  }

  /// Two logs that have an entry in common are equal before it (Raft thesis §3.5).
  mutating func checkLogMatching() {
    let logs = members.values.map { $0.raw.core.log }
    for a in logs {
      for b in logs {
        let low = max(a.firstIndex, b.firstIndex)
        var isCommon = false
        for index in stride(from: min(a.lastIndex, b.lastIndex), through: low, by: -1) {
          let isSame = a.term(of: index) == b.term(of: index)
          if isCommon && !isSame { fail("logs differ at \(index) below a common entry") }
          isCommon = isCommon || isSame
        }
      }
    }
  }

  /// Without faults the group must get on: everything is applied by all present members.
  mutating func heal() throws -> Bool {
    isNetworkFaulty = false
    cutOff = []
    for message in network where message.type == .snap {
      members[message.from]?.raw.reportSnapshot(message.to, failed: true)
    }
    network = []
    for round in 0..<4000 {
      for id in members.keys.sorted() {
        if round % 3 == 0 { members[id]?.raw.tick() }
        for _ in 0..<4 { try work(id) }
      }
      for _ in 0..<200 where !network.isEmpty { deliver() }
      for id in members.keys.sorted() { noteLeader(id) }
      // A member that was added again needs a snapshot made after that.
      if round % 50 == 40 { for id in members.keys.sorted() { try compact(id) } }
      if round % 50 == 10 { for id in members.keys.sorted() { propose(id) } }
      if round > 300 && isSettled { return true }
    }
    return false
  }

  /// A line for each member.
  var summary: String {
    members.sorted { $0.key < $1.key }.map { id, member in
      let status = member.raw.status
      return "\(id): \(status.basic.softState) \(status.basic.hardState) applied "
        + "\(member.applied) last \(status.basic.lastIndex) \(status.config)\n\(status.progress)"
    }.joined(separator: "\n")
  }

  private var isSettled: Bool {
    guard let leader = members.values.first(where: { $0.raw.core.role == .leader }) else {
      return false
    }
    let config = leader.raw.core.tracker.config
    return config.voters.ids.union(config.learners).allSatisfy {
      (members[$0]?.applied ?? 0) + 30 >= highestApplied
    }
  }
}
