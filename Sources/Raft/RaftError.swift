/// What a raft operation can refuse. The texts are those of etcd-io/raft, which scripts compare.
public enum RaftError: Error, Hashable, Sendable, CustomStringConvertible {
  /// No leader, leadership is being handed over, or the uncommitted tail is full; try again later.
  case proposalDropped
  /// A proposal without any entry.
  case emptyProposal
  /// A message that only this member may create came from the network.
  case stepLocalMessage
  /// A response from a member that is not in the configuration.
  case peerNotFound
  /// A message from the network that no correct member sends.
  case malformedMessage(String)
  /// A message that contradicts what is committed here: this log lost entries, or another one did.
  /// Nothing was changed, and the member must not go on.
  case contradiction(String)
  /// Bytes of a configuration change entry that do not decode.
  case malformedConfChange
  /// A configuration change that the active configuration does not permit.
  case confChange(ConfChangeError)
  /// Settings that cannot work.
  case invalidConfig(String)
  /// What the storage holds does not fit together.
  case invalidState(String)
  /// Bootstrapping was asked for on a storage that already holds a log, or without peers.
  case cannotBootstrap(String)

  public var description: String {
    switch self {
    case .proposalDropped: "raft proposal dropped"
    case .emptyProposal: "raft: proposal without entries"
    case .stepLocalMessage: "raft: cannot step raft local message"
    case .peerNotFound: "raft: cannot step as peer not found"
    case .malformedMessage(let reason): "raft: malformed message: \(reason)"
    case .contradiction(let reason): reason
    case .malformedConfChange: "raft: malformed configuration change"
    case .confChange(let error): error.description
    case .invalidConfig(let reason): reason
    case .invalidState(let reason): reason
    case .cannotBootstrap(let reason): reason
    }
  }
}

/// Why a configuration change is refused.
public struct ConfChangeError: Error, Hashable, Sendable, CustomStringConvertible {
  /// The reason in the words of etcd-io/raft.
  public let description: String

  init(_ description: String) { self.description = description }
}

/// What a `RaftStorage` can answer instead of data.
public enum RaftStorageError: Error, Hashable, Sendable, CustomStringConvertible {
  /// The index is at or before the compaction point.
  case compacted
  /// The index is beyond the end of the log.
  case unavailable
  /// A snapshot older than the present one.
  case snapOutOfDate
  /// A snapshot at an index that no log reaches.
  case outOfRange
  /// The snapshot is being made; ask again later.
  case snapshotTemporarilyUnavailable

  public var description: String {
    switch self {
    case .compacted: "requested index is unavailable due to compaction"
    case .unavailable: "requested entry at index is unavailable"
    case .snapOutOfDate: "requested index is older than the existing snapshot"
    case .outOfRange: "index of the snapshot is out of range"
    case .snapshotTemporarilyUnavailable: "snapshot is temporarily unavailable"
    }
  }
}
