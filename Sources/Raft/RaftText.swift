import Bytes
import EtcdAPI
import GoText

/// Messages, entries and states as etcd-io/raft prints them; its data-driven scripts compare these
/// texts.
///
/// - Source: etcd-io/raft `util.go`.
public enum RaftText {
  /// `Term:1 Vote:2 Commit:3`, without a vote of 0.
  public static func describe(_ state: Raftpb.HardState) -> String {
    "Term:\(state.term)" + (state.vote != 0 ? " Vote:\(state.vote)" : "")
      + " Commit:\(state.commit)"
  }

  /// `Lead:1 State:StateLeader`.
  public static func describe(_ state: SoftState) -> String {
    "Lead:\(state.lead) State:\(state.role)"
  }

  /// All five fields by name.
  public static func describe(_ state: Raftpb.ConfState) -> String {
    "Voters:\(list(state.voters)) VotersOutgoing:\(list(state.votersOutgoing)) "
      + "Learners:\(list(state.learners)) LearnersNext:\(list(state.learnersNext)) "
      + "AutoLeave:\(state.autoLeave)"
  }

  /// Index, term and configuration.
  public static func describe(_ snapshot: Raftpb.Snapshot) -> String {
    "Index:\(snapshot.metadata.index) Term:\(snapshot.metadata.term) "
      + "ConfState:\(describe(snapshot.metadata.confState))"
  }

  /// All there is to do, under headings.
  public static func describe(_ ready: Ready) -> String {
    var text = ""
    if let state = ready.softState { text += describe(state) + "\n" }
    if let state = ready.hardState { text += "HardState \(describe(state))\n" }
    if !ready.readStates.isEmpty {
      let states = ready.readStates.map { "{\($0.index) \(list($0.context))}" }
      text += "ReadStates [\(states.joined(separator: " "))]\n"
    }
    if !ready.entries.isEmpty { text += "Entries:\n" + describe(ready.entries) }
    if let snapshot = ready.snapshot, !snapshot.isEmpty {
      text += "Snapshot \(describe(snapshot))\n"
    }
    if !ready.committedEntries.isEmpty {
      text += "CommittedEntries:\n" + describe(ready.committedEntries)
    }
    if !ready.messages.isEmpty {
      text += "Messages:\n"
      for message in ready.messages { text += describe(message) + "\n" }
    }
    return text.isEmpty ? "<empty Ready>" : "Ready MustSync=\(ready.mustSync):\n" + text
  }

  /// One message; entries, snapshot and responses on further lines.
  /// - Parameter indent: put before each line.
  public static func describe(_ message: Raftpb.Message, indent: String = "") -> String {
    var text =
      "\(indent)\(target(message.from))->\(target(message.to)) \(message.type.text) "
      + "Term:\(message.term) Log:\(message.logTerm)/\(message.index)"
    if message.reject { text += " Rejected (Hint: \(message.rejectHint))" }
    if message.commit != 0 { text += " Commit:\(message.commit)" }
    if message.vote != 0 { text += " Vote:\(message.vote)" }
    if message.entries.count == 1 {
      text += " Entries:[\(describe(message.entries[0]))]"
    } else if message.entries.count > 1 {
      text += " Entries:["
      for entry in message.entries { text += "\n\(indent)  \(describe(entry))" }
      text += "\n\(indent)]"
    }
    if let snapshot = message.snapshot, !snapshot.isEmpty {
      text += "\n\(indent)  Snapshot: \(describe(snapshot))"
    }
    if !message.responses.isEmpty {
      text += " Responses:["
      for response in message.responses {
        text += "\n" + describe(response, indent: indent + "  ")
      }
      text += "\n\(indent)]"
    }
    return text
  }

  /// One entry a line.
  public static func describe(_ entries: [Raftpb.Entry]) -> String {
    entries.map { describe($0) + "\n" }.joined()
  }

  /// `term/index type content`, the content quoted as Go does or as changes in short form.
  public static func describe(_ entry: Raftpb.Entry) -> String {
    var content = ""
    switch entry.type {
    case .normal: content = GoQuote.text(entry.data)
    case .confChange, .confChangeV2:
      do throws(RaftError) {
        content = describe(try entry.confChange()?.changes ?? [])
      } catch {
        content = "\(error)"
      }
    case .unrecognized: break
    }
    return "\(entry.term)/\(entry.index) \(entry.type.text)"
      + (content.isEmpty ? "" : " " + content)
  }

  /// Changes in the short form `v1 l2 r3 u4`: voter, learner, removal, update.
  public static func describe(_ changes: [Raftpb.ConfChangeSingle]) -> String {
    changes.map { change in
      let kind =
        switch change.type {
        case .addNode: "v"
        case .addLearnerNode: "l"
        case .removeNode: "r"
        case .updateNode: "u"
        case .unrecognized: "unknown"
        }
      return kind + String(change.nodeID)
    }.joined(separator: " ")
  }

  /// A change with transition, members and context.
  public static func describe(_ change: Raftpb.ConfChangeV2) -> String {
    var text = "transition:\(change.transition.text)"
    for single in change.changes {
      text += " changes:{type:\(single.type.text) node_id:\(single.nodeID)}"
    }
    if !change.context.isEmpty { text += " context:\(GoQuote.text(change.context))" }
    return text
  }

  private static func target(_ id: UInt64) -> String {
    switch id {
    case RaftNodeID.none: "None"
    case RaftNodeID.appendThread: "AppendThread"
    case RaftNodeID.applyThread: "ApplyThread"
    default: hex(id)
    }
  }

  private static func list(_ numbers: some Sequence<some BinaryInteger>) -> String {
    "[" + numbers.map { String($0) }.joined(separator: " ") + "]"
  }
}
