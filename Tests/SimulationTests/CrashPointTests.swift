import Foundation
import MVCC
import Member
import Raft
import Simulation
import Testing

/// Stops a member before every single disk operation of a script, leaves the disk as a crash may leave
/// it, and expects the next start to find everything that was acknowledged and nothing else.
@Suite struct CrashPointTests {
  /// Every operation when `CRASH_POINTS=all`, otherwise some.
  static let isFull = ProcessInfo.processInfo.environment["CRASH_POINTS"] == "all"
  static let stride = isFull ? 1 : 13

  struct Image {
    let mode: CrashMode
    let seed: UInt64
  }

  static let images =
    [Image(mode: .clean, seed: 0), Image(mode: .lost, seed: 0)]
    + (1...(isFull ? 6 : 2)).map { Image(mode: .torn, seed: $0) }

  @Test(arguments: [1, 2] as [UInt64])
  func everyAcknowledgedWriteSurvives(seed: UInt64) throws {
    let script = CrashScript(seed: seed, steps: 70)
    let whole = SimulatedFileSystem()
    var reference = CrashScript.Progress()
    try script.run(whole, &reference)
    #expect(reference.states.count == script.steps.count + 1)
    var count = 0
    for operation in Swift.stride(from: Int(seed), to: whole.operations, by: Self.stride) {
      let disk = SimulatedFileSystem()
      disk.stopBefore = operation
      var progress = CrashScript.Progress()
      #expect(throws: (any Error).self) { try script.run(disk, &progress) }
      #expect(disk.isDead, "stopped before operation \(operation)")
      for image in Self.images {
        var random = SplitMix64(seed: image.seed &+ UInt64(operation))
        let next = disk.crashed(image.mode, &random)
        try verify(next, script, progress, reference, "operation \(operation), \(image)")
        count += 1
      }
    }
    print("seed \(seed): \(count) crash images of \(whole.operations) disk operations")
  }

  /// A process dies, the next one starts and dies as well while it recovers: after a kill it went on
  /// with what was in the page cache only, after a power failure with a commit index that was lost.
  @Test(arguments: [CrashMode.clean, .lost])
  func aSecondCrashWhileRecovering(first: CrashMode) throws {
    let script = CrashScript(seed: 3, steps: 60)
    let whole = SimulatedFileSystem()
    var reference = CrashScript.Progress()
    try script.run(whole, &reference)
    var count = 0
    for operation in Swift.stride(from: 3, to: whole.operations, by: Self.stride * 3) {
      let disk = SimulatedFileSystem()
      disk.stopBefore = operation
      var progress = CrashScript.Progress()
      #expect(throws: (any Error).self) { try script.run(disk, &progress) }
      for later in [2, 6, 13, 21, 34] {
        var random = SplitMix64(seed: UInt64(operation * 100 + later))
        let second = disk.crashed(first, &random)
        second.stopBefore = later
        let survivor = progress
        let wasFound = (try? self.recover(second, script)) ?? []
        for mode in CrashMode.allCases {
          let third = second.crashed(mode, &random)
          let context = "operation \(operation), then \(later), \(mode)"
          try verify(third, script, survivor, reference, context)
          count += 1
          guard let acknowledged = wasFound.last else { continue }
          let member = try script.open(third.crashed(.clean, &random))
          try script.lead(member)
          let found = try script.state(member)
          #expect(found.hash.revision >= acknowledged.hash.revision, "\(context)")
        }
      }
    }
    print("\(count) crash images after two crashes, the first \(first)")
  }

  /// A member whose newest commit index was lost takes a snapshot as soon as it starts, removes the log
  /// before it, and dies before it leads: the log must vouch for that snapshot.
  @Test func aSnapshotTakenWhileRecovering() throws {
    let script = CrashScript(seed: 5, steps: 30)
    let whole = SimulatedFileSystem()
    var reference = CrashScript.Progress()
    try script.run(whole, &reference)
    for operation in Swift.stride(from: 21, to: whole.operations, by: Self.isFull ? 1 : 2) {
      let disk = SimulatedFileSystem()
      disk.stopBefore = operation
      var progress = CrashScript.Progress()
      #expect(throws: (any Error).self) { try script.run(disk, &progress) }
      var random = SplitMix64(seed: UInt64(operation))
      let second = disk.crashed(.lost, &random)
      let member = try script.open(second)
      member.tick()
      _ = try member.settle()
      let third = second.crashed(.lost, &random)
      try verify(third, script, progress, reference, "operation \(operation)")
    }
  }

  /// Opens, leads and writes nothing new; the states that a client could have read.
  private func recover(
    _ disk: SimulatedFileSystem, _ script: CrashScript
  ) throws -> [CrashScript.State] {
    let member = try script.open(disk)
    try script.lead(member)
    let state = try script.state(member)
    return [state]
  }

  private func verify(
    _ disk: SimulatedFileSystem, _ script: CrashScript, _ progress: CrashScript.Progress,
    _ reference: CrashScript.Progress, _ context: String
  ) throws {
    let member: SimulatedMember
    do {
      member = try script.open(disk)
      try script.lead(member)
    } catch {
      Issue.record("\(context): \(error)")
      return
    }
    let found = try script.state(member)
    // Before the first state the member was being founded: nothing was acknowledged.
    let last = max(progress.states.count - 1, 0)
    var allowed = [reference.states[last]]
    if progress.isAsking { allowed.append(reference.states[last + 1]) }
    #expect(allowed.contains(found), "\(context): found \(found), expected one of \(allowed)")
    try script.ask(.put(key: "after", value: 1), member)
    let after = try script.state(member)
    #expect(after.hash.revision == found.hash.revision + 1, "\(context)")
    try member.close()
    let again = try script.open(disk)
    try script.lead(again)
    let restarted = try script.state(again)
    #expect(
      restarted == after, "\(context): a restart changes the state from \(after) to \(restarted)")
    try again.close()
  }
}
