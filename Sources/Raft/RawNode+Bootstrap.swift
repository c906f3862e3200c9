import Bytes
import EtcdAPI
import Protobuf

extension RawNode {
  /// Starts a new group: puts the first members into the log as committed configuration changes.
  /// - Parameter peers: ids with the context of their entries.
  /// - Throws: `RaftError.cannotBootstrap` when there are no peers or the storage is not empty,
  ///   `.confChange` when a peer is not possible.
  public mutating func bootstrap(
    _ peers: [(id: UInt64, context: Bytes)]
  ) throws(RaftError) {
    if peers.isEmpty { throw .cannotBootstrap("must provide at least one peer to Bootstrap") }
    if core.log.storage.lastIndex != 0 {
      throw .cannotBootstrap("can't bootstrap a nonempty Storage")
    }
    // So that the first Ready has the hard state written.
    previousHardState = Raftpb.HardState()
    core.becomeFollower(term: 1, lead: RaftNodeID.none)
    let entries = peers.enumerated().map { at, peer in
      let change = Raftpb.ConfChange(type: .addNode, nodeID: peer.id, context: peer.context)
      return Raftpb.Entry(
        type: .confChange, term: 1, index: UInt64(at + 1), data: change.encoded())
    }
    core.log.append(entries)
    // Committed but not applied: the application sees them in `Ready.committedEntries` and applies
    // them again, which changes nothing.
    core.log.commit(to: UInt64(entries.count))
    for peer in peers {
      _ = try core.apply(Raftpb.ConfChange(type: .addNode, nodeID: peer.id).asV2)
    }
  }
}
