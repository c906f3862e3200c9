import Bytes
import Protobuf

/// The v2 store as JSON, the payload of a raft snapshot: Go etcd 3.5 reads the members from it.
///
/// ```
/// /0/members/HEX/{raftAttributes,attributes}   /0/removed_members/HEX   /0/version   /1   (user keys)
/// ```
///
/// - Source: etcd `v2store/store.go`, `event_history.go`.
extension Membership {
  /// Events that the v2 store remembers.
  private static let historyCapacity = 1000

  /// The document for this membership.
  /// - Parameter index: what the store reports as its current index.
  public func v2Document(index: UInt64) -> Bytes {
    var version = JSONObject()
    if let clusterVersion {
      version["version"] = node("/0/version", value: clusterVersion)
    }
    var memberNodes = JSONObject()
    for member in sorted {
      let path = "/0/members/\(member.hexID)"
      var children = JSONObject()
      if !member.attributes.members.isEmpty {
        children["attributes"] = node(
          "\(path)/attributes", value: JSONValue.object(member.attributes).text)
      }
      children["raftAttributes"] = node(
        "\(path)/raftAttributes", value: JSONValue.object(member.raftAttributes).text)
      memberNodes[member.hexID] = node(path, children: children)
    }
    var removedNodes = JSONObject()
    for id in removed.sorted() {
      let hex = String(id, radix: 16)
      removedNodes[hex] = node("/0/removed_members/\(hex)")
    }
    var cluster = JSONObject()
    cluster["members"] = node("/0/members", children: memberNodes)
    cluster["removed_members"] = node("/0/removed_members", children: removedNodes)
    cluster.members += version.members
    var top = JSONObject()
    top["0"] = node("/0", children: cluster)
    top["1"] = node("/1", children: JSONObject())
    let history = JSONObject([
      .init(
        "Queue",
        [
          "Events": .array(Array(repeating: .null, count: Self.historyCapacity)), "Size": 0,
          "Front": 0, "Back": 0, "Capacity": .integer(Self.historyCapacity),
        ]),
      .init("StartIndex", .integer(index)), .init("LastIndex", .integer(index)),
    ])
    let statistics: [String] = [
      "getsSuccess", "getsFail", "setsSuccess", "setsFail", "deleteSuccess", "deleteFail",
      "updateSuccess", "updateFail", "createSuccess", "createFail", "compareAndSwapSuccess",
      "compareAndSwapFail", "compareAndDeleteSuccess", "compareAndDeleteFail", "expireCount",
      "watchers",
    ]
    let document = JSONObject([
      .init("Root", node("/", children: top)),
      .init("WatcherHub", .object(JSONObject([.init("EventHistory", .object(history))]))),
      .init("CurrentIndex", .integer(index)),
      .init("Stats", .object(JSONObject(statistics.map { .init($0, 0) }))),
      .init("CurrentVersion", 2),
    ])
    return JSONValue.object(document).encoded(escapeHTML: true)
  }

  private func node(
    _ path: String, value: String = "", children: JSONObject? = nil
  ) -> JSONValue {
    [
      "Path": .string(path), "CreatedIndex": 0, "ModifiedIndex": 0,
      "ExpireTime": "0001-01-01T00:00:00Z", "Value": .string(value),
      "Children": children.map { .object($0) } ?? .null,
    ]
  }

  /// The membership inside a document.
  /// - Throws: `malformed` naming what is missing.
  public init(v2Document bytes: Bytes) throws(MembershipError) {
    self.init()
    guard !bytes.isEmpty else { return }
    let document: JSONValue
    do { document = try JSONValue.parse(bytes) } catch {
      throw .malformed("v2 store of the snapshot is not JSON: \(error)")
    }
    guard let cluster = document["Root"]?["Children"]?["0"]?["Children"] else { return }
    var found: [MemberInfo] = []
    for entry in cluster["members"]?["Children"]?.object?.members ?? [] {
      guard let id = UInt64(entry.name, radix: 16) else {
        throw .malformed("v2 store of the snapshot has a member named \(entry.name)")
      }
      var member = MemberInfo(id: id, peerURLs: [])
      let children = entry.value["Children"]
      if let value = try Self.value(children?["raftAttributes"]) { member.setRaftAttributes(value) }
      if let value = try Self.value(children?["attributes"]) { member.setAttributes(value) }
      found.append(member)
    }
    self.init(members: found)
    for entry in cluster["removed_members"]?["Children"]?.object?.members ?? [] {
      if let id = UInt64(entry.name, radix: 16) { apply(.remove(id)) }
    }
    if let version = cluster["version"]?["Value"]?.string { setClusterVersion(version) }
  }

  private static func value(_ node: JSONValue?) throws(MembershipError) -> JSONValue? {
    guard let text = node?["Value"]?.string else { return nil }
    do { return try JSONValue.parse(Bytes(text)) } catch {
      throw .malformed("attributes \(text) in the v2 store are not JSON: \(error)")
    }
  }
}

extension JSONObject {
  fileprivate subscript(name: String) -> JSONValue? {
    get { members.first { $0.name == name }?.value }
    set { if let newValue { members.append(.init(name, newValue)) } }
  }
}

extension JSONValue {
  fileprivate var text: String { encoded(escapeHTML: true).string }
}
