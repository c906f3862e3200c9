import Bolt
import Bytes
import EtcdAPI
import FileSystem
import Member
import MemberStorage
import Membership
import Raft

extension Cluster {
  /// A snapshot on its way: the message, and the database behind it that follows piece by piece.
  final class Transfer {
    let message: Raftpb.Message
    let rows: BoltRows
    let senderLife: Int
    let receiverLife: Int
    let file: (any StorageFile)?
    let temporary: String
    let final: String
    let directory: String
    var offset = 0

    init(
      _ message: Raftpb.Message, _ rows: BoltRows, lives: (sender: Int, receiver: Int),
      directory: String, file: (any StorageFile)?, temporary: String, final: String
    ) {
      self.message = message
      self.rows = rows
      senderLife = lives.sender
      receiverLife = lives.receiver
      self.directory = directory
      self.file = file
      self.temporary = temporary
      self.final = final
    }
  }

  private static let pieceBytes = 32 << 10

  // MARK: Messages

  func send(_ message: Raftpb.Message) {
    let link = Link(from: message.sender, to: message.receiver)
    // The transport does not know everybody whom raft knows.
    guard nodes[message.sender]!.peers.contains(message.receiver) else { return }
    let isLost = !cut.contains(link) && strikes(.drop, oneIn: options.lossOneIn)
    if isLost { hit(.drop) }
    if isLost || cut.contains(link) {
      if chance(oneIn: 2) { post(.unreachable(message.receiver), to: message.sender) }
      return
    }
    plan(message, on: link)
    // A stream never repeats a message, but a member may; a proposal has no index that tells.
    let repeatOneIn =
      message.type != .prop
      ? options.repeatOneIn : options.mutant == .repeatsProposals ? 3 : 0
    if strikes(.duplicate, oneIn: repeatOneIn) {
      hit(.duplicate)
      plan(message, on: link)
    }
  }

  private func plan(_ message: Raftpb.Message, on link: Link) {
    var time = now + travelTime(link)
    let last = lastDelivery[link, default: 0]
    if !has(.reorder) {
      time = max(time, last)
    } else if time < last {
      hit(.reorder)
    }
    lastDelivery[link] = max(time, last)
    queue.add(.deliver(message, to: message.receiver), at: time)
    if let other = stray(link) { queue.add(.deliver(message, to: other), at: time) }
  }

  /// A message comes to the address of a member, who may be another one by now.
  func deliver(_ message: Raftpb.Message, to id: MemberID) {
    guard !cut.contains(Link(from: message.sender, to: id)) else { return }
    var id = id
    while let next = nodes[id]!.successor { id = next }
    guard let receiver = nodes[id]!.member else { return }
    if MessageCheck.fault(message, local: id, peer: message.sender) != nil {
      if id == message.receiver { problems.append("\(name(id)) refuses \(message)") }
      hit(.strayMessages, name(id))
      return
    }
    if receiver.core.membership.removed.contains(message.sender) {
      // It is told so and ends.
      if nodes[message.sender]!.member != nil { retire(message.sender) }
      return
    }
    // Who sends is answered, known or not.
    nodes[message.receiver]!.peers.insert(message.sender)
    note(message.index)
    post(.receive([message]), to: message.receiver)
  }

  // MARK: Snapshots

  /// Begins to copy the database that belongs to a snapshot into the receiver's directory.
  func send(_ snapshot: SnapshotSend, from id: MemberID) {
    let to = snapshot.message.receiver
    guard let rows = snapshot.state as? BoltRows, let target = nodes[to],
      let receiver = target.member, !cut.contains(Link(from: id, to: to)),
      let index = snapshot.message.snapshot?.metadata.index
    else { return post(.snapshotSent(to, failed: true), to: id) }
    if snapshot.message.snapshot?.metadata.confState.counts(to) != true {
      problems.append("\(name(id)) sends \(name(to)) a snapshot in which it is no member")
    }
    counters.snapshotsSent += 1
    trace("\(name(id)) sends the snapshot at \(index) to \(name(to))")
    let digits = String(index, radix: 16)
    let hex = String(repeating: "0", count: 16 - digits.count) + digits
    let directory = receiver.snapDirectory
    let temporary = "\(directory)/tmp-\(hex)-\(counters.snapshotsSent).snap.db"
    let file = try? target.fileSystem.open(temporary, .createNew(permissions: 0o600))
    let number = counters.snapshotsSent
    transfers[number] = Transfer(
      snapshot.message, rows, lives: (nodes[id]!.life, target.life), directory: directory,
      file: file, temporary: temporary, final: "\(directory)/\(hex).snap.db")
    queue.add(.transfer(number), at: now + pieceTime())
    noticePower(of: to)
  }

  /// The receiver only drops what it was sent when its disk refuses; when the power failed, it is dead.
  private func noticePower(of id: MemberID) {
    if nodes[id]!.member != nil, nodes[id]!.fileSystem.isDead { crash(id, nodes[id]!.crashMode) }
  }

  /// Units until the next piece of a database. Quick once the faults have ended: a leader that keeps no entries behind its
  /// snapshots would be ahead of every one that takes a hundred ticks, for ever, as in etcd.
  private func pieceTime() -> Int {
    1 + random.below(faultsAllowed ? options.delay : min(options.delay, 100))
  }

  func continueTransfer(_ number: Int) {
    guard let transfer = transfers.removeValue(forKey: number) else { return }
    let message = transfer.message
    guard nodes[message.sender]!.life == transfer.senderLife else {
      transfer.file?.close()
      return
    }
    guard nodes[message.receiver]!.life == transfer.receiverLife, let file = transfer.file,
      !cut.contains(Link(from: message.sender, to: message.receiver))
    else { return fail(transfer) }
    // The database of a life has so many pieces that none would arrive.
    let pieces = transfer.rows.transaction.size / Self.pieceBytes
    if strikes(.haltTransfer, oneIn: options.life == nil ? 4 : max(4, pieces)) {
      hit(.haltTransfer)
      return fail(transfer)
    }
    let piece = transfer.rows.transaction.snapshotBytes(
      at: transfer.offset, count: Self.pieceBytes)
    do throws(FileError) {
      if piece.isEmpty {
        let fault = MessageCheck.fault(
          message, local: message.receiver, peer: message.sender, withDatabase: true)
        if let fault { problems.append("a snapshot is refused: \(fault.rawValue)") }
        try finish(transfer, file)
        post(.receive([message]), to: message.receiver)
        post(.snapshotSent(message.receiver, failed: false), to: message.sender)
        counters.snapshotsInstalled += 1
        watchWorld.faults.repeats.formUnion(watchers(of: message.receiver))
        return
      }
      try piece.withUnsafeBytes { (memory) throws(FileError) in
        try file.write(memory, at: transfer.offset)
      }
      transfer.offset += piece.count
      transfers[number] = transfer
      queue.add(.transfer(number), at: now + pieceTime())
    } catch {
      fail(transfer)
    }
  }

  private func finish(_ transfer: Transfer, _ file: any StorageFile) throws(FileError) {
    let fileSystem = nodes[transfer.message.receiver]!.fileSystem
    try file.sync()
    file.close()
    try fileSystem.rename(transfer.temporary, to: transfer.final)
    try fileSystem.syncDirectory(transfer.directory)
  }

  private func fail(_ transfer: Transfer) {
    // A receiver drops what its disk does not take, and goes on.
    _ = nodes[transfer.message.receiver]!.fileSystem.takeFailure()
    trace("the snapshot for \(name(transfer.message.receiver)) does not arrive")
    if nodes[transfer.message.receiver]!.life == transfer.receiverLife {
      try? nodes[transfer.message.receiver]!.fileSystem.remove(transfer.temporary)
    }
    post(.snapshotSent(transfer.message.receiver, failed: true), to: transfer.message.sender)
    noticePower(of: transfer.message.receiver)
  }
}
