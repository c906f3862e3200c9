import Bytes
import EtcdAPI
import JSON
import Protobuf
import V2Store

/// The membership inside the v2 store: Go etcd 3.5 reads the members from there.
///
/// ```
/// /0/members/HEX/{raftAttributes,attributes}   /0/removed_members/HEX   /0/version
/// ```
/// - Source: etcd `membership/store.go`.
extension Membership {
  private static let members = "/0/members"
  private static let removed = "/0/removed_members"
  private static let version = "/0/version"

  /// The membership that a store holds.
  /// - Throws: `malformed` naming what is not readable.
  public init(_ store: V2Store) throws(MembershipError) {
    var found: [MemberInfo] = []
    for name in store.names(at: Self.members) {
      guard let id = UInt64(name, radix: 16) else {
        throw .malformed("v2 store of the snapshot has a member named \(name)")
      }
      var member = MemberInfo(id: MemberID(id), peerURLs: [])
      let path = "\(Self.members)/\(name)"
      if let value = try Self.json(store, "\(path)/raftAttributes") {
        member.setRaftAttributes(value)
      }
      if let value = try Self.json(store, "\(path)/attributes") { member.setAttributes(value) }
      found.append(member)
    }
    self.init(members: found)
    for name in store.names(at: Self.removed) {
      if let id = UInt64(name, radix: 16) { apply(.remove(MemberID(id))) }
    }
    if let version = store.value(at: Self.version) { setClusterVersion(version) }
  }

  private static func json(
    _ store: V2Store, _ path: String
  ) throws(MembershipError) -> JSONValue? {
    guard let text = store.value(at: path) else { return nil }
    do { return try JSONValue.parse(Bytes(text)) } catch {
      throw .malformed("attributes \(text) in the v2 store are not JSON: \(error)")
    }
  }

  fileprivate static func path(_ id: MemberID) -> String {
    "\(members)/\(id.hex)"
  }

  // MARK: Writing

  /// Writes into a store what a change did to this membership. The writes are those that Go etcd
  /// makes, so that the store's index is the same on every member.
  public func record(_ change: Change, in store: inout V2Store) {
    switch change {
    case .add(let member):
      // A member that the store has already keeps its attributes.
      _ = try? store.create(
        Self.path(member.id) + "/raftAttributes", value: member.raftAttributes.text)
    case .promote(let id): recordRaftAttributes(of: id, in: &store)
    case .update(let member): recordRaftAttributes(of: member.id, in: &store)
    case .remove(let id):
      guard (try? store.delete(Self.path(id), isRecursive: true)) != nil else { return }
      _ = try? store.create("\(Self.removed)/\(id.hex)")
    }
  }

  private func recordRaftAttributes(of id: MemberID, in store: inout V2Store) {
    guard let member = members[id] else { return }
    _ = try? store.update(Self.path(id) + "/raftAttributes", value: member.raftAttributes.text)
  }

  /// Writes into a store what a member published about itself.
  public func recordAttributes(of id: MemberID, in store: inout V2Store) {
    guard let member = members[id] else { return }
    _ = try? store.set(Self.path(id) + "/attributes", value: member.attributes.text)
  }

  /// Writes the cluster version into a store.
  public func recordClusterVersion(in store: inout V2Store) {
    guard let clusterVersion else { return }
    _ = try? store.set(Self.version, value: clusterVersion)
  }

  /// Puts this membership in place of whatever membership a store has.
  /// - Source: etcd `PushMembershipToStorage`.
  public func replace(in store: inout V2Store) {
    for folder in [Self.members, Self.removed] {
      for name in store.names(at: folder) {
        _ = try? store.delete("\(folder)/\(name)", isRecursive: true)
      }
    }
    for member in sorted { record(.add(member), in: &store) }
  }
}

extension JSONObject {
  fileprivate var text: String { JSONValue.object(self).encoded(escapeHTML: true).string }
}
