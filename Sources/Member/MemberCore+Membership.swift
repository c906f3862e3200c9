import Bytes
import EtcdAPI
import JSON
import MVCC
import Membership
import Protobuf
import Raft

/// Entries about the members: configuration changes, attributes, the cluster's version.
extension MemberCore {
  static let downgradeKey: Bytes = "downgrade"

  /// The downgrade that the backend knows of.
  static func downgrade(in store: MVCCStore) throws(StoreError) -> Downgrade {
    guard let row = try store.get(.cluster, downgradeKey) else { return .none }
    do throws(MembershipError) { return try Downgrade(json: row) } catch {
      throw .damaged("row downgrade of bucket cluster: \(error)")
    }
  }

  mutating func applyConfChange(
    _ entry: Raftpb.Entry, isReplay: Bool, _ out: inout MemberOutput
  ) {
    guard entry.type == .confChange, let raw = try? Raftpb.ConfChange.decode(entry.data) else {
      applyJointChange(entry)
      return
    }
    let change: Membership.Change
    do throws(MembershipError) {
      change = try Membership.decode(raw)
      try applied.membership.validate(change, learnersMax: config.learnersMax)
    } catch {
      // A refused change still takes its place in the log: a change of no member.
      applyToRaft(Raftpb.ConfChange(type: .addNode).asV2, at: LogIndex(entry.index))
      reply(RequestID(raw.id), .failed(EtcdError(error)), &out)
      return
    }
    applyToRaft(raw.asV2, at: LogIndex(entry.index))
    applied.membership.apply(change)
    applied.membership.record(change, in: &applied.v2)
    if !isReplay { save(change) }
    out.memberChanges.append(change)
    if case .remove(let gone) = change {
      if gone == id { out.removedSelf = true } else { replace(gone) }
    }
    reply(RequestID(raw.id), .members(applied.membership.sorted), &out)
  }

  /// A leader that was removed ends. Proposals wait for the next one instead of being sent to it in vain, and the voter
  /// with the smallest id campaigns once the others have had the time to apply the change, too; their timeouts go on.
  private mutating func replace(_ gone: MemberID) {
    guard node.basicStatus.softState.lead == gone.rawValue else { return }
    node.forgetLeader()
    succession = ticks
  }

  /// Once a tick.
  mutating func succeedRemovedLeader() {
    guard let since = succession, ticks > since &+ 1 else { return }
    succession = nil
    // What it had sent before may have made it the leader once more.
    if applied.membership.removed.contains(MemberID(node.basicStatus.softState.lead)) {
      node.forgetLeader()
    }
    if applied.membership.voters.first?.id == id { campaign() }
  }

  /// Changes of several members at once, and the entry that leaves the joint configuration.
  private mutating func applyJointChange(_ entry: Raftpb.Entry) {
    do throws(RaftError) {
      if let change = try entry.confChange() { applyToRaft(change, at: LogIndex(entry.index)) }
    } catch { halt("entry \(entry.index): \(error)") }
  }

  /// - Parameter index: of the entry that holds the change.
  private mutating func applyToRaft(_ change: Raftpb.ConfChangeV2, at index: LogIndex) {
    do throws(RaftError) {
      applied.confState = try node.applyConfChange(change, at: index.rawValue)
    } catch {
      halt("configuration change at index \(index): \(error)")
    }
    if index > replayUntil { saveConfState() }
  }

  private mutating func saveConfState() {
    store.put(.meta, "confState", applied.confState.stored)
  }

  private mutating func save(_ change: Membership.Change) {
    switch change {
    case .add(let member): saveMember(member.id)
    case .promote(let id): saveMember(id)
    case .update(let member): saveMember(member.id)
    case .remove(let id):
      let key = Bytes(id.hex)
      store.put(.members, key, nil)
      store.put(.membersRemoved, key, "removed")
    }
  }

  private mutating func saveMember(_ id: MemberID) {
    guard let member = applied.membership.members[id] else { return }
    store.put(.members, Bytes(member.hexID), member.json())
  }

  mutating func setClusterVersion(
    _ version: String, isReplay: Bool, _ out: inout MemberOutput
  ) {
    applied.membership.setClusterVersion(version)
    applied.membership.recordClusterVersion(in: &applied.v2)
    out.clusterVersion = version
    if !isReplay { store.put(.cluster, "clusterVersion", Bytes(version)) }
  }

  mutating func setAttributes(
    _ request: Membershippb.ClusterMemberAttrSetRequest, isReplay: Bool,
    _ out: inout MemberOutput
  ) {
    setAttributes(
      of: MemberID(request.memberID), name: request.memberAttributes?.name ?? "",
      clientURLs: request.memberAttributes?.clientURLs ?? [], isReplay: isReplay, &out)
  }

  mutating func setAttributes(
    of member: MemberID, name: String, clientURLs: [String], isReplay: Bool,
    _ out: inout MemberOutput
  ) {
    guard applied.membership.setAttributes(of: member, name: name, clientURLs: clientURLs) else {
      return
    }
    applied.membership.recordAttributes(of: member, in: &applied.v2)
    if let info = applied.membership.members[member] { out.memberChanges.append(.update(info)) }
    if !isReplay { saveMember(member) }
  }
}
