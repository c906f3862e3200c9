import Bytes
import EtcdAPI
import FileSystem
import MVCC
import Member
import MemberStorage
import Membership
import Raft

/// The one member whose disk may hold less than it promised, or something else.
struct DamageWorld {
  var victim: MemberID?
  var kind = FaultKind.replaceMember
  /// Whether its process has ended for good and it waits to be removed.
  var isDead = false
  /// Who is to come in its place.
  var successor: MemberID?
  /// Members that came so.
  var made = 0

  var dead: MemberID? { isDead ? victim : nil }
}

/// Disks that hold something else than they said.
///
/// Raft promises nothing for a member that forgets a vote or an entry which it had acknowledged: with two of
/// three such members the cluster may lose writes, and one is enough when another was behind. So a disk lies
/// or is damaged at one member at a time, of three or more that vote; the process ends before the damage can
/// take part in anything; what starts on such a disk is looked at alone; then the member is removed and another one comes
/// at its address, as operators do. A disk that lies may become honest again before the power fails: then nothing was
/// lost, and the member stays.
extension Cluster {
  private var canDamage: Bool {
    damageWorld.victim == nil && isMembershipSettled && changeWorld.learner == nil
      && changeWorld.call == nil && ids.count >= 3 && !restoreWorld.isUnderWay
  }

  func damage(_ id: MemberID, _ kind: FaultKind) {
    guard canDamage else { return }
    if kind != .lyingSync, kind != .misdirectedWrite { return lose(id, kind) }
    hit(kind, name(id))
    (damageWorld.victim, damageWorld.kind) = (id, kind)
    let fileSystem = nodes[id]!.fileSystem
    fileSystem.failsNextSync = false
    if kind == .lyingSync {
      fileSystem.ignoresSync = true
    } else {
      fileSystem.misdirectsNextSync = true
    }
    queue.add(.expose(id), at: now + 1 + random.below(60 * Self.tickUnits))
  }

  /// What a disk did wrong shows.
  func expose(_ id: MemberID) {
    guard damageWorld.victim == id, !damageWorld.isDead else { return }
    if damageWorld.kind == .lyingSync, chance(oneIn: 2) { return makeHonest(id) }
    guard ids.contains(id), ids.count >= 3 else { return makeHonest(id) }
    lose(id, damageWorld.kind)
  }

  /// A disk that lied, or was to misplace a write and did not, has what it said.
  func makeHonest(_ id: MemberID) {
    let fileSystem = nodes[id]!.fileSystem
    guard fileSystem.ignoresSync || fileSystem.misdirectsNextSync else {
      return lose(id, damageWorld.kind)
    }
    trace("the disk of \(name(id)) is honest again")
    fileSystem.ignoresSync = options.mutant == .ignoresSync
    fileSystem.misdirectsNextSync = false
    fileSystem.syncAll()
    damageWorld.victim = nil
  }

  /// The process ends, its disk is damaged and looked at, and its place is to be taken by another.
  private func lose(_ id: MemberID, _ kind: FaultKind) {
    if damageWorld.victim == nil { hit(kind, name(id)) }
    (damageWorld.victim, damageWorld.kind, damageWorld.isDead) = (id, kind, true)
    switch kind {
    case .lyingSync: end(id, .lost)
    case .misdirectedWrite: end(id, chance(oneIn: 2) ? .lost : .torn)
    default: end(id, CrashMode.allCases[random.below(2)])
    }
    switch kind {
    case .flippedLog: flip(id, below: "data/member/wal", suffix: ".wal")
    case .flippedSnapshot: flip(id, below: "data/member/snap", suffix: ".snap")
    case .flippedDatabase: flip(id, below: "data/member/snap", suffix: "db")
    default: break
    }
    if kind != .replaceMember { examine(id, kind) }
  }

  private func flip(_ id: MemberID, below directory: String, suffix: String) {
    let fileSystem = nodes[id]!.fileSystem
    let names = ((try? fileSystem.list(directory)) ?? []).filter { $0.hasSuffix(suffix) }
    guard let file = names.randomElement(using: &random) else { return }
    let path = "\(directory)/\(file)"
    guard case .file(let size) = try? fileSystem.kind(path), size > 0 else { return }
    // Half of them where something was written: files are made longer than what is in them.
    let bytes = (try? fileSystem.readFile(path, limit: 1 << 28)) ?? Bytes()
    let used = bytes.lastIndex { $0 != 0 } ?? 0
    let offset = random.below(chance(oneIn: 2) ? used + 1 : size)
    trace("bit at \(offset) of \(path) of \(size) flips")
    try? fileSystem.flipBit(path, at: offset, bit: random.below(8))
  }

  // MARK: What starts on it

  /// Starts a member on a copy of a damaged disk, alone. It refuses, or shows a state that was.
  private func examine(_ id: MemberID, _ kind: FaultKind) {
    let copy = nodes[id]!.fileSystem.crashed(.clean, &random)
    do {
      let member = try makeMember(id, on: copy)
      for _ in 0..<3 {
        member.tick()
        _ = try member.settle()
      }
      guard let wrong = try difference(member, id) else {
        counters.damageHarmless += 1
        return trace("the disk of \(name(id)) shows nothing wrong")
      }
      trace("the disk of \(name(id)) shows \(wrong)")
      // Pages of the database carry no sums, in Go's format as here: what is wrong in them, only the others know.
      guard kind == .flippedDatabase || kind == .misdirectedWrite else {
        problems.append("\(name(id)) starts after \(kind.rawValue) with \(wrong)")
        return
      }
      counters.damageFoundByHash += 1
    } catch {
      counters.damageRefused += 1
      trace("\(name(id)) does not start: \(error)")
    }
  }

  /// What a member shows and the others, at the same place, do not.
  private func difference(_ member: SimulatedMember, _ id: MemberID) throws -> String? {
    let status = member.core.status
    var facts = facts
    if let problem = facts.check(
      status, member.core.auth, v2Index: member.core.v2Index, of: id,
      isReplaying: status.appliedIndex < member.consistentIndex)
    {
      return problem
    }
    if let problem = facts.check(member.core.confState, member.core.membership, at: status) {
      return problem
    }
    guard status.keys > 0, status.appliedIndex >= member.consistentIndex else { return nil }
    let hash = try member.hash()
    if let problem = facts.check(hash) { return problem }
    for other in ids {
      guard let state = nodes[other]!.member?.core.snapshot(), state.revision >= hash.revision,
        nodes[other]!.member?.core.status.compactRevision == hash.compactRevision
      else { continue }
      let theirs = try state.hash(at: hash.revision)
      if theirs.compactRevision == hash.compactRevision, theirs.hash != hash.hash {
        return "hash \(hash.hash) at revision \(hash.revision), \(name(other)) has \(theirs.hash)"
      }
    }
    return nil
  }

  // MARK: Its successor

  /// The operator removed the member, and has another one at its address.
  func replace(_ id: MemberID) {
    damageWorld.made += 1
    let old = nodes[id]!.info
    let info = MemberInfo(
      id: Identity.memberID(
        peerURLs: old.peerURLs, token: "simulation", seconds: damageWorld.made),
      peerURLs: old.peerURLs, name: "\(old.name).\(damageWorld.made)")
    nodes[info.id] = Node(info: info, fileSystem: SimulatedFileSystem())
    nodes[id]!.successor = info.id
    (damageWorld.victim, damageWorld.isDead) = (nil, false)
    damageWorld.successor = info.id
    trace("\(info.name) is to come for \(old.name)")
  }
}
