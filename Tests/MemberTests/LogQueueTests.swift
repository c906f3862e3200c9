import Bytes
import EtcdAPI
import Testing

@testable import Member

@Suite struct LogQueueTests {
  private func append(_ index: UInt64, snapshot: Bool = false) -> LogAppend {
    LogAppend(
      hardState: nil, entries: snapshot ? [] : [Raftpb.Entry(term: 1, index: index)],
      snapshot: snapshot
        ? Raftpb.Snapshot(metadata: Raftpb.SnapshotMetadata(index: index, term: 1)) : nil,
      mustSync: true, responses: [])
  }

  private func indices(_ job: LogQueue.Job?) -> [UInt64] {
    guard case .write(let batch) = job else { return [] }
    return batch.map { $0.entries.first?.index ?? $0.snapshot?.metadata.index ?? 0 }
  }

  private func acknowledged(_ events: [MemberEvent]) -> [UInt64] {
    events.compactMap {
      if case .appended(let append) = $0 { append.entries.first?.index } else { nil }
    }
  }

  @Test func everythingThatWaitsIsOneBatch() {
    var queue = LogQueue()
    queue.add([append(1), append(2)])
    queue.add([append(3)])
    let job = queue.next()
    #expect(indices(job) == [1, 2, 3])
    guard case .write(let batch) = job else { return }
    let (events, install) = queue.written(batch)
    #expect(acknowledged(events) == [1, 2, 3])
    #expect(install?.snapshot == nil)
    #expect(!queue.hasWork)
  }

  /// Entries behind a snapshot are not written, let alone reported, before it is installed.
  @Test func theLogStandsStillWhileASnapshotIsInstalled() {
    var queue = LogQueue()
    queue.add([append(1), append(7, snapshot: true), append(8)])
    let job = queue.next()
    #expect(indices(job) == [1, 7])
    guard case .write(let batch) = job else { return }
    let (events, install) = queue.written(batch)
    #expect(acknowledged(events) == [1], "the snapshot is reported once it is installed")
    #expect(install?.snapshot?.metadata.index == 7)
    queue.add([append(9)])
    #expect(!queue.hasWork)
    #expect(indices(queue.next()).isEmpty)
    queue.installed()
    #expect(indices(queue.next()) == [8, 9])
  }

  /// A raft snapshot is saved behind the appends that were there before it, and is not put off by those
  /// that come later.
  @Test func aSaveComesBehindWhatItNeeds() {
    var queue = LogQueue()
    queue.add([append(1)])
    queue.add(Raftpb.Snapshot(metadata: Raftpb.SnapshotMetadata(index: 1, term: 1)))
    guard case .write = queue.next() else {
      Issue.record("the append comes first")
      return
    }
    queue.add([append(2)])
    guard case .save(let snapshot) = queue.next() else {
      Issue.record("the save is due")
      return
    }
    #expect(snapshot.metadata.index == 1)
    #expect(indices(queue.next()) == [2])
  }
}
