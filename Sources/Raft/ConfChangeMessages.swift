import Bytes
import EtcdAPI
import Protobuf

extension Raftpb.ConfChange {
  /// The same change in the general form.
  public var asV2: Raftpb.ConfChangeV2 {
    Raftpb.ConfChangeV2(
      changes: [Raftpb.ConfChangeSingle(type: type, nodeID: nodeID)], context: context)
  }
}

extension Raftpb.ConfChangeV2 {
  /// Whether the change only leaves a joint configuration.
  public var leavesJoint: Bool { transition == .auto && changes.isEmpty }

  /// `nil` when the change can be applied without a joint configuration, otherwise whether the
  /// joint configuration is left automatically.
  func jointAutoLeave() throws(ConfChangeError) -> Bool? {
    switch transition {
    case .auto: changes.count > 1 ? true : nil
    case .jointImplicit: true
    case .jointExplicit: false
    case .unrecognized(let value): throw ConfChangeError("unknown transition: \(value)")
    }
  }
}

/// A proposed configuration change in the form that is put into the log.
public enum ConfChangeProposal: Sendable, Hashable {
  /// A single change, readable by members that do not know joint consensus.
  case v1(Raftpb.ConfChange)
  case v2(Raftpb.ConfChangeV2)
  /// Leave the joint configuration; has no payload, so no size limit can refuse it.
  case leaveJoint

  /// The log entry, without term and index.
  var entry: Raftpb.Entry {
    switch self {
    case .v1(let change): Raftpb.Entry(type: .confChange, data: change.encoded())
    case .v2(let change): Raftpb.Entry(type: .confChangeV2, data: change.encoded())
    case .leaveJoint: Raftpb.Entry(type: .confChangeV2)
    }
  }
}

extension Raftpb.Entry {
  /// The configuration change in this entry; `nil` when it is none.
  /// - Throws: `RaftError.malformedConfChange`.
  public func confChange() throws(RaftError) -> Raftpb.ConfChangeV2? {
    do {
      switch type {
      case .confChange: return try Raftpb.ConfChange.decode(data).asV2
      case .confChangeV2: return try Raftpb.ConfChangeV2.decode(data)
      case .normal, .unrecognized: return nil
      }
    } catch {
      throw .malformedConfChange
    }
  }

  /// Whether the entry changes the configuration.
  var isConfChange: Bool { type == .confChange || type == .confChangeV2 }
}
