import Bytes
import EtcdAPI
import JSON
import Protobuf

/// The members of the cluster and its version: the one truth that every other view is made from.
///
/// - Source: etcd `membership/cluster.go`.
public struct Membership: Hashable, Sendable {
  public private(set) var members: [MemberID: MemberInfo] = [:]
  /// Ids that may never return.
  public private(set) var removed: Set<MemberID> = []
  /// `MAJOR.MINOR.0`; `nil` until the leader decided it.
  public private(set) var clusterVersion: String?

  public init() {}

  public init(members: [MemberInfo]) {
    for member in members { self.members[member.id] = member }
  }

  /// Members ordered by id.
  public var sorted: [MemberInfo] { members.values.sorted { $0.id < $1.id } }

  public var voters: [MemberInfo] { sorted.filter { !$0.isLearner } }

  // MARK: Configuration changes

  /// What a configuration change does, decoded from its context.
  public enum Change: Hashable, Sendable {
    case add(MemberInfo)
    case promote(MemberID)
    case remove(MemberID)
    case update(MemberInfo)
  }

  /// Decodes a configuration change.
  /// - Throws: `malformed` when the context does not name the member.
  public static func decode(_ change: Raftpb.ConfChange) throws(MembershipError) -> Change {
    switch change.type {
    case .addNode, .addLearnerNode:
      let value: JSONValue
      do { value = try JSONValue.parse(change.context) } catch {
        throw .malformed("configuration change has no member: \(error)")
      }
      let member = try MemberInfo(json: change.context)
      guard member.id.rawValue == change.nodeID else {
        throw .malformed("change of node \(change.nodeID) carries member \(member.id)")
      }
      return value["isPromote"]?.bool == true ? .promote(member.id) : .add(member)
    case .removeNode: return .remove(MemberID(change.nodeID))
    case .updateNode:
      let member = try MemberInfo(json: change.context)
      guard member.id.rawValue == change.nodeID else {
        throw .malformed("change of node \(change.nodeID) carries member \(member.id)")
      }
      return .update(member)
    case .unrecognized(let type): throw .malformed("configuration change of type \(type)")
    }
  }

  /// Whether a change may be made now.
  /// - Parameter learnersMax: learners allowed at a time, the same on every member.
  /// - Source: etcd `ValidateConfigurationChange`.
  public func validate(_ change: Change, learnersMax: Int) throws(MembershipError) {
    switch change {
    case .add(let member):
      if removed.contains(member.id) { throw .idRemoved }
      if members[member.id] != nil { throw .idExists }
      try validateURLs(of: member)
      if member.isLearner {
        let learners = members.values.reduce(0) { $0 + ($1.isLearner ? 1 : 0) }
        guard learners < learnersMax else { throw .tooManyLearners }
      }
    case .promote(let id):
      if removed.contains(id) { throw .idRemoved }
      guard let member = members[id] else { throw .idNotFound }
      guard member.isLearner else { throw .memberNotLearner }
    case .remove(let id):
      if removed.contains(id) { throw .idRemoved }
      guard members[id] != nil else { throw .idNotFound }
    case .update(let member):
      if removed.contains(member.id) { throw .idRemoved }
      guard members[member.id] != nil else { throw .idNotFound }
      try validateURLs(of: member)
    }
  }

  private func validateURLs(of member: MemberInfo) throws(MembershipError) {
    for other in members.values where other.id != member.id {
      if other.peerURLs.contains(where: { member.peerURLs.contains($0) }) { throw .peerURLExists }
    }
  }

  /// Makes a change that `validate` let pass.
  public mutating func apply(_ change: Change) {
    switch change {
    case .add(let member): members[member.id] = member
    case .promote(let id): members[id]?.isLearner = false
    case .remove(let id):
      members[id] = nil
      removed.insert(id)
    case .update(let member):
      // All that raft needs of a member comes from the change, its being a learner included.
      members[member.id]?.peerURLs = member.peerURLs
      members[member.id]?.isLearner = member.isLearner
    }
  }

  /// Takes over what a member published about itself.
  /// - Returns: false when there is no such member.
  public mutating func setAttributes(of id: MemberID, name: String, clientURLs: [String]) -> Bool {
    guard members[id] != nil else { return false }
    members[id]!.name = name
    members[id]!.clientURLs = clientURLs
    return true
  }

  public mutating func setClusterVersion(_ version: String) { clusterVersion = version }
}
