import Bytes
import EtcdAPI
import Testing

@testable import Raft

@Suite struct RaftLogTests {
  private static func entry(_ index: UInt64, _ term: UInt64, size: Int = 0) -> Raftpb.Entry {
    Raftpb.Entry(term: term, index: index, data: Bytes([UInt8](repeating: 7, count: size)))
  }

  @Test(arguments: [1, 2, 3] as [UInt64])
  func windowAgreesWithAnArray(_ seed: UInt64) {
    var random = SplitMix64(seed: seed)
    var window = EntryWindow(first: 10)
    var model: [Raftpb.Entry] = []
    var first: UInt64 = 10
    for step in 0..<3000 {
      switch random.below(4) {
      case 0, 1:
        let new = (0..<random.below(5)).map {
          Self.entry(first + UInt64(model.count + $0), UInt64(step), size: random.below(20))
        }
        window.append(new)
        model += new
      case 2:
        let keep = random.below(model.count + 1)
        window.truncate(from: first + UInt64(keep))
        model.removeLast(model.count - keep)
      default:
        let drop = random.below(min(model.count, 6) + 1)
        window.drop(before: first + UInt64(drop))
        model.removeFirst(drop)
        first += UInt64(drop)
      }
      #expect(window.first == first && window.count == model.count, "seed \(seed) step \(step)")
      let low = random.below(model.count + 1)
      let high = low + random.below(model.count - low + 1)
      let range = (first + UInt64(low))..<(first + UInt64(high))
      #expect(window.entries(range, maxSize: .max) == Array(model[low..<high]))
      let limit = UInt64(random.below(100))
      var expected: [Raftpb.Entry] = []
      for entry in model[low..<high] {
        if !expected.isEmpty && limitSize(expected + [entry]) > limit { break }
        expected.append(entry)
      }
      #expect(window.entries(range, maxSize: limit) == expected, "seed \(seed) step \(step)")
    }
  }

  /// The log against an array: appends of a leader, stable writes, compaction, reads.
  @Test(arguments: [1, 2, 3, 4] as [UInt64])
  func logAgreesWithAnArray(_ seed: UInt64) throws {
    var random = SplitMix64(seed: seed)
    var log = RaftLog(
      storage: MemoryStorage(), maxApplyingSize: .max, logger: LogSink(logger: nil))
    var terms: [UInt64] = [0]  // Position 0 is the entry before the log.
    var term: UInt64 = 1
    for step in 0..<3000 {
      switch random.below(6) {
      case 0, 1, 2:
        if random.below(5) == 0 { term += 1 }
        let at = Int(log.committed) + random.below(terms.count - Int(log.committed))
        let rest = (0..<random.below(4)).map { _ in term }
        let new = rest.enumerated().map { Self.entry(UInt64(at + 1 + $0), $1, size: 3) }
        let isPresent = zip(rest, terms.dropFirst(at + 1)).allSatisfy(==)
        let commit = UInt64(at) + UInt64(random.below(3))
        let last = try log.append(
          after: EntryID(term: terms[at], index: UInt64(at)), new, committed: commit)
        #expect(last == UInt64(at + rest.count))
        if !isPresent || at + rest.count >= terms.count { terms = Array(terms[...at]) + rest }
      case 3:
        // A write of everything handed out.
        let entries = log.unstable.nextEntries
        log.unstable.acceptInProgress()
        log.storage.append(entries)
        if let last = entries.last { log.unstable.stable(to: last.id) }
      case 4:
        let ready = log.nextCommitted(allowUnstable: false)
        if let last = ready.last {
          log.acceptApplying(to: last.index, size: limitSize(ready), allowUnstable: false)
          log.applied(to: last.index, size: limitSize(ready))
        }
      default:
        let stable = min(log.applied, log.storage.lastIndex)
        if stable >= log.storage.firstIndex && random.below(4) == 0 {
          try log.storage.compact(to: stable)
        }
      }
      #expect(log.lastIndex == UInt64(terms.count - 1), "seed \(seed) step \(step)")
      let low = log.firstIndex + UInt64(random.below(Int(log.lastIndex + 2 - log.firstIndex)))
      if low <= log.lastIndex {
        let slice = try #require(log.slice(low, log.lastIndex + 1, maxSize: .max))
        #expect(slice.map(\.term) == Array(terms[Int(low)...]), "seed \(seed) step \(step)")
        #expect(slice.map(\.index) == Array(low...log.lastIndex))
        let cached = log.entries(from: low, maxSize: .max)
        #expect(cached == slice)
        let limited = try #require(log.slice(low, log.lastIndex + 1, maxSize: 30))
        #expect(Array(slice.prefix(limited.count)) == limited && !limited.isEmpty)
        #expect(limited.count == 1 || limitSize(limited) <= 30)
        #expect(
          limited.count == slice.count || limitSize(slice.prefix(limited.count + 1)) > 30)
      }
      #expect(log.applied <= log.applying && log.applying <= log.committed)
    }
    #expect(log.committed > 50)
  }

  @Test func appendAfterUnknownEntryIsRefused() throws {
    var log = RaftLog(
      storage: MemoryStorage(), maxApplyingSize: .max, logger: LogSink(logger: nil))
    log.append([Self.entry(1, 1), Self.entry(2, 1), Self.entry(3, 2)])
    let found6 = try log.append(after: EntryID(term: 1, index: 3), [], committed: 3)
    #expect(found6 == nil)
    let found7 = try log.append(after: EntryID(term: 2, index: 4), [], committed: 3)
    #expect(found7 == nil)
    let found8 = try log.append(after: EntryID(term: 2, index: 3), [], committed: 9)
    #expect(found8 == 3)
    #expect(log.committed == 3)
    #expect(log.conflictHint(index: 3, term: 1) == EntryID(term: 1, index: 2))
    #expect(log.conflictHint(index: 3, term: 0) == EntryID(term: 0, index: 0))
    #expect(log.isUpToDate(EntryID(term: 2, index: 3)))
    #expect(log.isUpToDate(EntryID(term: 3, index: 1)))
    #expect(!log.isUpToDate(EntryID(term: 2, index: 2)))
    #expect(!log.isUpToDate(EntryID(term: 1, index: 9)))
  }

  @Test func applyingIsBoundedBySize() {
    let entries = (1...6).map { Self.entry($0, 1, size: 10) }
    let one = entries[0].limitSize
    var log = RaftLog(
      storage: MemoryStorage(), maxApplyingSize: one * 2, logger: LogSink(logger: nil))
    log.append(entries)
    log.commit(to: 6)
    let first = log.nextCommitted(allowUnstable: true)
    #expect(first.map(\.index) == [1, 2])
    log.acceptApplying(to: 2, size: limitSize(first), allowUnstable: true)
    #expect(!log.hasNextCommitted(allowUnstable: true))
    log.applied(to: 1, size: one)
    #expect(log.nextCommitted(allowUnstable: true).map(\.index) == [3])
  }

  @Test func storageAnswersWithTypedErrors() throws {
    var storage = MemoryStorage()
    #expect(storage.firstIndex == 1 && storage.lastIndex == 0)
    storage.append((1...9).map { Self.entry($0, 1 + $0 / 4) })
    try storage.compact(to: 4)
    #expect(storage.firstIndex == 5 && storage.lastIndex == 9)
    #expect(throws: RaftStorageError.compacted) { try storage.compact(to: 4) }
    #expect(throws: RaftStorageError.unavailable) { try storage.compact(to: 10) }
    #expect(throws: RaftStorageError.compacted) { try storage.entries(4, 6, maxSize: .max) }
    #expect(throws: RaftStorageError.unavailable) { try storage.entries(5, 11, maxSize: .max) }
    #expect(try storage.term(of: 4) == 2)
    #expect(throws: RaftStorageError.compacted) { try storage.term(of: 3) }
    #expect(throws: RaftStorageError.unavailable) { try storage.term(of: 10) }
    #expect(try storage.entries(5, 7, maxSize: 0).map(\.index) == [5])
    // Of a file: no entry could follow it.
    for index in [UInt64.max, 1 << 63] {
      #expect(throws: RaftStorageError.outOfRange) {
        try storage.applySnapshot(.init(metadata: .init(index: index, term: 9)))
      }
    }
    storage.append([Self.entry(3, 5), Self.entry(4, 5), Self.entry(5, 5)])
    #expect(storage.lastIndex == 5)
    #expect(try storage.term(of: 5) == 5)
    let state = Raftpb.ConfState(voters: [1])
    let snapshot = try storage.createSnapshot(at: 5, confState: state, data: "x")
    #expect(snapshot.metadata == Raftpb.SnapshotMetadata(confState: state, index: 5, term: 5))
    #expect(throws: RaftStorageError.snapOutOfDate) {
      _ = try storage.createSnapshot(at: 5, confState: nil, data: "y")
    }
    #expect(throws: RaftStorageError.snapOutOfDate) { try storage.applySnapshot(snapshot) }
    var later = snapshot
    later.metadata.index = 20
    try storage.applySnapshot(later)
    #expect(storage.firstIndex == 21 && storage.lastIndex == 20 && storage.count == 0)
    #expect(try storage.term(of: 20) == 5)
  }

  @Test func staleReportsOfStabilityAreIgnored() {
    var unstable = Unstable(offset: 5, logger: LogSink(logger: nil))
    unstable.truncateAndAppend([Self.entry(5, 1), Self.entry(6, 1)])
    unstable.acceptInProgress()
    unstable.truncateAndAppend([Self.entry(6, 2), Self.entry(7, 2)])
    #expect(unstable.nextEntries.map(\.index) == [6, 7])
    unstable.stable(to: EntryID(term: 1, index: 6))
    #expect(unstable.offset == 5 && unstable.count == 3)
    unstable.stable(to: EntryID(term: 1, index: 5))
    #expect(unstable.offset == 6 && unstable.count == 2)
    unstable.stable(to: EntryID(term: 1, index: 4))
    #expect(unstable.offset == 6)
  }
}
