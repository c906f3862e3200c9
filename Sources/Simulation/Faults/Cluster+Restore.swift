import Bolt
import Bytes
import EtcdAPI
import FileSystem
import Member
import MemberStorage
import Membership
import Raft

/// A cluster that is lost as a whole and begins anew from a backup.
struct RestoreWorld {
  /// Whether clients are kept out, so that the backup holds all that they were told.
  var isUnderWay = false
  /// Who was asked for a backup, and what it had applied then.
  var asked: (number: RequestID, member: MemberID, index: LogIndex)?
  var givesUpAt = 0
  var made = 0
}

/// The operator closes the door, waits until all members have all there is, takes a snapshot, and makes a new cluster of it on
/// new machines; the old ones never come back. What was under way and not heard of may be lost; what was told is not.
extension Cluster {
  func planRestore() {
    guard !restoreWorld.isUnderWay, damageWorld.victim == nil, isMembershipSettled,
      changeWorld.learner == nil
    else { return }
    restoreWorld.isUnderWay = true
    restoreWorld.givesUpAt = now + 200 * Self.tickUnits
    cut = []
    queue.add(.restore, at: now + Self.tickUnits)
  }

  /// Whether a client waits at the door.
  func mustWait(_ action: EventQueue.Action) -> Bool {
    guard restoreWorld.isUnderWay else { return false }
    switch action {
    case .call, .lease, .lock, .authStep, .changeStep, .v2, .alarm, .fault: return true
    default: return false
    }
  }

  func stepRestore() {
    guard restoreWorld.isUnderWay else { return }
    guard now < restoreWorld.givesUpAt, faultsAllowed else {
      restoreWorld.isUnderWay = false
      restoreWorld.asked = nil
      return
    }
    queue.add(.restore, at: now + 2 * Self.tickUnits)
    guard isQuiet else {
      restoreWorld.asked = nil
      return
    }
    guard restoreWorld.asked == nil else { return }
    let id = ids[random.below(ids.count)]
    guard let member = nodes[id]!.member else { return }
    let number = member.makeRequestID()
    restoreWorld.asked = (number, id, member.core.appliedIndex)
    // A member that has just started does not know what is committed, and is of one mind with itself: it is
    // asked for something newer than all that was told.
    post(.read([number]), to: id)
  }

  /// - Returns: whether the read is that of whoever wants a backup.
  func answerBackup(_ number: RequestID, isRead: Bool) -> Bool {
    guard let asked = restoreWorld.asked, asked.number == number else { return false }
    guard isRead, let member = nodes[asked.member]?.member else {
      restoreWorld.asked = nil
      return true
    }
    let next = member.makeRequestID()
    restoreWorld.asked = (next, asked.member, member.core.appliedIndex)
    // As whoever asks for a snapshot does (`MaintenanceService`).
    post(.flush(id: next), to: asked.member)
    return true
  }

  private var isQuiet: Bool {
    waiting.values.allSatisfy(\.isEmpty) && isConverged && alarmWorld.owner == nil
      && authWorld.call == nil
  }

  /// - Returns: whether the reply says that a backup can be taken.
  func answerBackup(_ reply: Reply, from id: MemberID) -> Bool {
    guard let asked = restoreWorld.asked, asked.number == reply.id, asked.member == id else {
      return false
    }
    restoreWorld.asked = nil
    // Leases end whoever waits at the door: what they took is in the next one.
    guard isQuiet, let member = nodes[id]!.member, member.core.appliedIndex == asked.index else {
      return true
    }
    do { try restore(from: try backup(of: member)) } catch {
      problems.append("the cluster cannot be restored: \(error)")
    }
    return true
  }

  private func backup(of member: SimulatedMember) throws -> Bytes {
    let rows = try member.databaseState()
    var bytes: [UInt8] = []
    while true {
      let piece = rows.transaction.snapshotBytes(at: bytes.count, count: 1 << 20)
      if piece.isEmpty { break }
      bytes += Array(piece)
    }
    let content = Bytes(bytes)
    return Bytes(bytes + Array(Digest.sha256(content)))
  }

  private func restore(from backup: Bytes) throws {
    hit(.restoreCluster)
    checkV2()
    restoreWorld.isUnderWay = false
    restoreWorld.made += 1
    let old = ids
    for id in old { end(id, .lost) }
    facts.beginAnew()
    let infos = old.map { id in
      let info = nodes[id]!.info
      return MemberInfo(
        id: Identity.memberID(
          peerURLs: info.peerURLs, token: "restored", seconds: restoreWorld.made),
        peerURLs: info.peerURLs, name: info.name)
    }
    for (id, info) in zip(old, infos) {
      let disk = SimulatedFileSystem()
      let file = try disk.open("backup.db", .createNew(permissions: 0o600))
      try backup.withUnsafeBytes { (memory) throws(FileError) in try file.write(memory, at: 0) }
      file.close()
      var restore = SnapshotRestore(
        disk, snapshotPath: "backup.db", dataDirectory: "data", walDirectory: "", members: infos,
        name: info.name)
      restore.bolt.mapBytes = SimulatedMemory.reservedBytes
      restore.segmentBytes = options.member.segmentBytes
      _ = try restore.run(tag: 1)
      try disk.remove("backup.db")
      nodes[info.id] = Node(info: info, fileSystem: disk)
      nodes[id]!.successor = info.id
    }
    founders = infos
    ids = infos.map(\.id)
    for id in ids { start(id) }
  }
}
