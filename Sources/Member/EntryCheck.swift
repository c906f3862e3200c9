import EtcdAPI
import Protobuf
import Raft

/// Checks entries that come from another member before raft takes them: what no member can apply must
/// not get into the log, where it would end this member at every start. Pure.
public enum EntryCheck {
  /// What is wrong with the entries of a message that carries some; `nil` when nothing is.
  public static func fault(_ message: Raftpb.Message) -> String? {
    guard message.type == .app || message.type == .prop else { return nil }
    for entry in message.entries {
      if let fault = fault(entry) { return "entry \(entry.index): \(fault)" }
    }
    return nil
  }

  /// What is wrong with a snapshot's own part, which the database does not hold; `nil` when nothing is.
  public static func fault(_ snapshot: Raftpb.Snapshot) -> String? {
    do throws(V2SnapshotError) {
      _ = try MemberCore.Position(snapshot)
      return nil
    } catch { return error.description }
  }

  private static func fault(_ entry: Raftpb.Entry) -> String? {
    switch entry.type {
    case .normal:
      if entry.data.isEmpty || isRequest(entry) { return nil }
      return "\(entry.data.count) bytes that are neither a v3 nor a v2 request"
    case .confChange, .confChangeV2:
      do throws(RaftError) {
        let count = try entry.confChange()?.changes.count ?? 0
        return count > RaftBounds.membersMax ? "a configuration change of \(count) members" : nil
      } catch { return error.description }
    case .unrecognized(let type): return "unknown type \(type)"
    }
  }

  /// In the order in which apply tries them.
  private static func isRequest(_ entry: Raftpb.Entry) -> Bool {
    if let request = try? DataRequest.decode(entry.data), request.isComplete { return true }
    if (try? Etcdserverpb.InternalRaftRequest.decode(entry.data)) != nil { return true }
    return (try? Etcdserverpb.Request.decode(entry.data)) != nil
  }
}
