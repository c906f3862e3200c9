import Bytes
import MVCC
import Raft

/// What holds between turns, for the simulation, which asks after every one.
extension MemberCore {
  /// Guarantees:
  /// 1. `durable <= freezing <= applied`: a batch holds nothing that was not applied.
  /// 2. `applied <= commit`: nothing is applied that a quorum does not hold.
  /// 3. A raft snapshot, saved or being saved, is of a state that the backend holds.
  /// 4. Writes under way are never fewer than none; answers wait for the log only while some are.
  /// 5. Snapshots wait for the backend only while it is behind.
  /// 6. Those of `ReadQueue`, `RaftLog` and `Progress`.
  /// - Returns: the first one that does not hold.
  public func checkInvariants() -> String? {
    let positions =
      "durable \(durable.index), freezing \(freezing?.index ?? 0), applied "
      + "\(applied.index), commit \(status.commitIndex), snapshot \(snapshotIndex)"
    let middle = freezing?.index ?? durable.index
    guard durable.index <= middle, middle <= applied.index else { return "1: \(positions)" }
    guard applied.index <= status.commitIndex else { return "2: \(positions)" }
    guard snapshotIndex <= durable.index || applied.index < replayUntil,
      savingSnapshot?.index ?? 0 <= durable.index
    else { return "3: \(positions)" }
    guard appendsUnderWay >= 0 else { return "4: \(appendsUnderWay) writes under way" }
    guard delayed.isEmpty else { return "4: \(delayed.count) answers were left" }
    guard heldSnapshots.isEmpty || durable.index < applied.index || commitDue || freezing != nil
    else {
      return "5: \(heldSnapshots.count) snapshots wait, \(positions)"
    }
    if let problem = reads.checkInvariants(applied: applied.index) { return "reads \(problem)" }
    return node.checkInvariants().map { "raft \($0)" }
  }

  /// Guarantees that take a look at the backend and a walk over all keys:
  /// 1. The state from which snapshots for peers are taken is that of the durable index.
  /// 2. Those of `RowLog` and `KeyIndex`.
  /// - Returns: the first one that does not hold.
  public func checkStoreInvariants() -> String? {
    if durable.index >= replayUntil, durable.index > 0 {
      do throws(StoreError) {
        var reader = ByteReader(try durableRows.value(.meta, "consistent_index") ?? Bytes())
        let index: UInt64 = reader.readBigEndian() ?? 0
        if index != durable.index { return "1: rows of \(index), durable \(durable.index)" }
      } catch { return "1: \(error)" }
    }
    return store.checkInvariants()
  }
}
