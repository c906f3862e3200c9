import Bolt
import Bytes
import EtcdAPI
import FileSystem
import Foundation
import MVCC
import Member
import MemberStorage
import Membership
import Raft
import Simulation
import Testing

/// Three members, the third of which lags so far that it needs the leader's database. Stops it before
/// every single disk operation of receiving and installing that, leaves the disk as a crash may leave
/// it, and expects the next start to catch up with a leader that remembers what was acknowledged.
@Suite struct SnapshotCrashTests {
  static let stride = CrashPointTests.isFull ? 1 : 4

  /// Members by id, joined by a network without delays.
  final class Group {
    static let infos = (1...3).map {
      MemberInfo(id: MemberID($0), peerURLs: ["http://127.0.0.1:238\($0)"], name: "m\($0)")
    }
    var members: [MemberID: SimulatedMember] = [:]
    var replies: [Reply] = []
    /// Entries and snapshots that were sent.
    var entries: [UInt64: Raftpb.Entry] = [:]
    var snapshots: [SnapshotSend] = []

    func open(_ id: MemberID, _ disk: SimulatedFileSystem) throws {
      var options = SimulatedMember.Options()
      // The first member always stands first.
      options.electionTicks = id == 1 ? 3 : 30
      options.snapshotCount = 6
      options.catchUpEntries = 2
      options.segmentBytes = 1 << 10
      options.segmentsKept = 1
      options.snapshotsKept = 1
      members[id] = try SimulatedMember(
        disk, founders: Self.infos, own: Self.infos[Int(id.rawValue) - 1], options: options,
        firstRequest: 1, seed: id.rawValue)
    }

    func tick() throws {
      for id in members.keys.sorted() { members[id]!.tick() }
      try settle()
    }

    /// Lets everybody work until nothing is left to do.
    func settle() throws {
      var isBusy = true
      while isBusy {
        isBusy = false
        for id in members.keys.sorted() {
          guard let member = members[id] else { continue }
          if member.hasEvents {
            let out = try member.turn()
            replies += out.replies
            for message in out.messages {
              for entry in message.entries { entries[entry.index] = entry }
              members[message.receiver]?.post(.receive([message]))
            }
            snapshots += out.sendSnapshots
            for snapshot in out.sendSnapshots { try send(snapshot, from: member) }
          } else if member.hasLogWork {
            try member.runLog()
          } else if member.hasStorageWork {
            try member.runStorage()
          } else {
            continue
          }
          isBusy = true
        }
      }
    }

    /// The receiving half is the one of `DatabaseSink`, in one piece.
    private func send(_ snapshot: SnapshotSend, from sender: SimulatedMember) throws {
      guard let rows = snapshot.state as? BoltRows, let index = snapshot.message.snapshot,
        let target = members[snapshot.message.receiver]
      else { return sender.post(.snapshotSent(snapshot.message.receiver, failed: true)) }
      do { try deliver(rows, index.metadata.index, to: target) } catch {
        sender.post(.snapshotSent(snapshot.message.receiver, failed: true))
        throw error
      }
      target.post(.receive([snapshot.message]))
      sender.post(.snapshotSent(snapshot.message.receiver, failed: false))
    }

    func deliver(_ rows: BoltRows, _ index: UInt64, to target: SimulatedMember) throws {
      let hex = String(index, radix: 16)
      let name = String(repeating: "0", count: 16 - hex.count) + hex + ".snap.db"
      let temporary = "\(target.snapDirectory)/tmp-\(name)"
      let file = try target.fileSystem.open(temporary, .create(permissions: 0o600))
      try file.truncate(to: 0)
      var offset = 0
      while true {
        let piece = rows.transaction.snapshotBytes(at: offset, count: 8 << 10)
        if piece.isEmpty { break }
        try piece.withUnsafeBytes { try file.write($0, at: offset) }
        offset += piece.count
      }
      try file.sync()
      file.close()
      try target.fileSystem.rename(temporary, to: "\(target.snapDirectory)/\(name)")
      try target.fileSystem.syncDirectory(target.snapDirectory)
    }

    func lead() throws {
      for _ in 0..<100 where members[1]?.core.isLeader != true { try tick() }
      guard members[1]?.core.isLeader == true else { throw ScriptFailure("no leader") }
    }

    func put(_ numbers: Range<Int>) throws {
      let leader = members[1]!
      for number in numbers {
        let id = leader.makeRequestID()
        guard
          let data = ClientRequest.put(key: "key\(number % 7)", value: number).encoded(id: id)
        else { throw ScriptFailure("no write") }
        leader.post(.propose([Proposal(id: id, data: data)]))
        try settle()
        guard replies.contains(where: { $0.id == id }) else { throw ScriptFailure("no answer") }
        if number % 4 == 0 { try tick() }
      }
    }

    /// Ticks until the third member has all that the leader has.
    func catchUp() throws {
      for _ in 0..<200 {
        try tick()
        let applied = members.values.map { $0.core.status.appliedIndex }
        if Set(applied).count == 1 { return }
      }
      throw ScriptFailure(
        "not caught up: \(members.mapValues { "\($0.core.status)" })")
    }

    func hash(_ id: MemberID) throws -> StoreSnapshot.Hash { try members[id]!.hash() }
  }

  /// Disks of the three members at the moment when the third one comes back.
  private func prepared(isFresh: Bool) throws -> [MemberID: SimulatedFileSystem] {
    let disks: [MemberID: SimulatedFileSystem] = [1: .init(), 2: .init(), 3: .init()]
    let group = Group()
    for id in isFresh ? [1, 2] : [1, 2, 3] as [MemberID] { try group.open(id, disks[id]!) }
    try group.lead()
    try group.put(0..<20)
    if let third = group.members.removeValue(forKey: 3) { try third.close() }
    try group.put(20..<60)
    for member in group.members.values { try member.close() }
    return disks
  }

  private func started(_ disks: [MemberID: SimulatedFileSystem]) throws -> Group {
    var random = SplitMix64(seed: 1)
    let group = Group()
    for id in [1, 2] as [MemberID] { try group.open(id, disks[id]!.crashed(.clean, &random)) }
    try group.lead()
    try group.put(60..<62)
    return group
  }

  @Test(arguments: [true, false])
  func aMemberThatDiesWhileItInstalls(isFresh: Bool) throws {
    let disks = try prepared(isFresh: isFresh)
    var random = SplitMix64(seed: 2)
    let whole = disks[3]!.crashed(.clean, &random)
    let reference = try started(disks)
    try reference.open(3, whole)
    try reference.catchUp()
    #expect(try reference.hash(3) == reference.hash(1))
    let installed = try whole.list(reference.members[3]!.snapDirectory)
    #expect(installed.contains { $0.hasSuffix(".snap") }, "no snapshot came: \(installed)")
    var count = 0
    for operation in Swift.stride(from: 1, to: whole.operations, by: Self.stride) {
      for image in CrashPointTests.images {
        let disk = disks[3]!.crashed(.clean, &random)
        disk.stopBefore = operation
        let group = try started(disks)
        let context = "operation \(operation), \(image)"
        do {
          try group.open(3, disk)
          try group.catchUp()
        } catch {
          #expect(disk.isDead, "\(context): \(error)")
        }
        group.members[3] = nil
        var imageRandom = SplitMix64(seed: image.seed &+ UInt64(operation))
        let next = disk.crashed(image.mode, &imageRandom)
        do {
          try group.open(3, next)
          try group.put(62..<66)
          try group.catchUp()
          #expect(try group.hash(3) == group.hash(1), "\(context)")
          try group.members.removeValue(forKey: 3)!.close()
          try group.open(3, next)
          try group.catchUp()
          #expect(try group.hash(3) == group.hash(1), "\(context), after a restart")
        } catch { Issue.record("\(context): \(error)") }
        count += 1
      }
    }
    print("\(count) crash images of \(whole.operations) disk operations of an installation")
  }
}
