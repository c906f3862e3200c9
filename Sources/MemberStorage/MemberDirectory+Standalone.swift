import Bytes
import EtcdAPI
import Membership
import Protobuf
import Raft

/// What `--force-new-cluster` does to a log: entries that were not committed go, and configuration
/// changes that remove every other member are committed by force.
///
/// - Source: etcd `restartAsStandaloneNode`, `createConfigChangeEnts`. Unlike Go etcd 3.5, learners go
///   too, a member that was a learner becomes a voter, and the commit index is written, so that the
///   next start without the flag finds the same cluster.
public struct StandaloneLog: Sendable {
  /// Configuration changes to append behind the commit index.
  public let entries: [Raftpb.Entry]
  public let hardState: Raftpb.HardState

  /// - Parameter confState: configuration of the snapshot that the log begins with.
  /// - Parameter committed: entries behind the snapshot, up to the commit index.
  /// - Throws: `StorageError` when a configuration change cannot be read.
  public init(
    own: MemberID, confState: Raftpb.ConfState, committed: [Raftpb.Entry],
    hardState: Raftpb.HardState
  ) throws(StorageError) {
    var voters = Set(confState.voters + confState.votersOutgoing)
    var learners = Set(confState.learners + confState.learnersNext)
    for entry in committed where entry.type == .confChange || entry.type == .confChangeV2 {
      for change in try Self.changes(in: entry) {
        switch change.type {
        case .addNode:
          voters.insert(change.nodeID)
          learners.remove(change.nodeID)
        case .addLearnerNode: learners.insert(change.nodeID)
        case .removeNode:
          voters.remove(change.nodeID)
          learners.remove(change.nodeID)
        default: break
        }
      }
    }
    var changes: [Raftpb.ConfChange] = []
    // Raft is never left without a voter: this member comes before the others go.
    let node = own.rawValue
    if learners.contains(node) {
      let info = MemberInfo(id: own, peerURLs: [])
      changes.append(
        Raftpb.ConfChange(type: .addNode, nodeID: node, context: info.json(isPromote: true)))
    } else if !voters.contains(node) {
      let info = MemberInfo(id: own, peerURLs: ["http://localhost:2380"])
      changes.append(
        Raftpb.ConfChange(type: .addNode, nodeID: node, context: info.json(isPromote: false)))
    }
    for other in voters.union(learners).sorted() where other != node {
      changes.append(Raftpb.ConfChange(type: .removeNode, nodeID: other))
    }
    var index = hardState.commit
    entries = changes.map { change in
      index += 1
      return Raftpb.Entry(
        type: .confChange, term: hardState.term, index: index, data: change.encoded())
    }
    self.hardState = Raftpb.HardState(term: hardState.term, vote: hardState.vote, commit: index)
  }

  private static func changes(
    in entry: Raftpb.Entry
  ) throws(StorageError) -> [Raftpb.ConfChangeSingle] {
    do { return try entry.confChange()?.changes ?? [] } catch {
      throw StorageError(
        "entry \(entry.index) of the log holds an unreadable configuration change: \(error)")
    }
  }
}

extension MemberDirectory.Opened {
  /// Makes this member the only one of its cluster, durably.
  /// - Returns: entries that were discarded because they were not committed.
  /// - Throws: `StorageError`.
  public mutating func becomeStandalone() throws(StorageError) -> Int {
    let state = storage.hardState
    // As raft refuses it: the log lost what it knew to be committed.
    guard state.commit <= storage.lastIndex else {
      throw StorageError(
        "commit index \(state.commit) lies behind the end of the log, \(storage.lastIndex): bring the "
          + "missing log files back, or restore a snapshot")
    }
    let discarded = storage.lastIndex - state.commit  // checked: not behind it
    do {
      let committed = try storage.entries(
        storage.firstIndex, state.commit + 1, maxSize: UInt64.max)
      let standalone = try StandaloneLog(
        own: memberID, confState: snapshot.metadata.confState, committed: committed,
        hardState: state)
      try log.write(standalone.hardState, standalone.entries)
      storage.truncate(after: state.commit)
      storage.append(standalone.entries)
      storage.hardState = standalone.hardState
    } catch let error as StorageError { throw error } catch { throw StorageError("\(error)") }
    return Int(discarded)
  }
}
