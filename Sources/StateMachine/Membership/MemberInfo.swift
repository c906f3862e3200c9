import Bytes
import EtcdAPI
import JSON
import Protobuf

/// One member of the cluster.
///
/// - Shape of the JSON: `{"id":N,"peerURLs":[…],"isLearner":true?,"name":"…"?,"clientURLs":[…]?}`,
///   as stored in bucket `members`, sent on `/members` and carried by configuration changes.
/// - Source: etcd `membership/member.go`.
public struct MemberInfo: Hashable, Sendable {
  public var id: MemberID
  public var peerURLs: [String]
  public var isLearner: Bool
  /// Empty until the member published itself.
  public var name: String
  public var clientURLs: [String]

  public init(
    id: MemberID, peerURLs: [String], isLearner: Bool = false, name: String = "",
    clientURLs: [String] = []
  ) {
    self.id = id
    self.peerURLs = peerURLs
    self.isLearner = isLearner
    self.name = name
    self.clientURLs = clientURLs
  }

  /// The id as etcd prints it: hexadecimal without padding.
  public var hexID: String { id.hex }

  /// The member as JSON; `isPromote` is written only where a configuration change carries it.
  public func json(isPromote: Bool? = nil) -> Bytes {
    var object = JSONObject()
    object.members.append(.init("id", .integer(id.rawValue)))
    object.members += raftAttributes.members
    object.members += attributes.members
    if let isPromote { object.members.append(.init("isPromote", .bool(isPromote))) }
    return JSONValue.object(object).encoded(escapeHTML: true)
  }

  /// `{"peerURLs":[…]}`, the part that raft needs.
  public var raftAttributes: JSONObject {
    var object = JSONObject([.init("peerURLs", strings(peerURLs))])
    if isLearner { object.members.append(.init("isLearner", true)) }
    return object
  }

  /// `{"name":…,"clientURLs":[…]}`, what a member publishes about itself.
  public var attributes: JSONObject {
    var object = JSONObject()
    if !name.isEmpty { object.members.append(.init("name", .string(name))) }
    if !clientURLs.isEmpty { object.members.append(.init("clientURLs", strings(clientURLs))) }
    return object
  }

  private func strings(_ list: [String]) -> JSONValue { .array(list.map { .string($0) }) }

  /// - Throws: `MembershipError` when it is not JSON of that shape.
  public init(json: Bytes) throws(MembershipError) {
    let value: JSONValue
    do { value = try JSONValue.parse(json) } catch {
      throw .malformed("member is not JSON: \(error)")
    }
    guard let id: UInt64 = value["id"]?.integer() else { throw .malformed("member has no id") }
    self.init(id: MemberID(id), peerURLs: [])
    setRaftAttributes(value)
    setAttributes(value)
  }

  mutating func setRaftAttributes(_ value: JSONValue) {
    peerURLs = Self.list(value["peerURLs"])
    isLearner = value["isLearner"]?.bool ?? false
  }

  mutating func setAttributes(_ value: JSONValue) {
    name = value["name"]?.string ?? ""
    clientURLs = Self.list(value["clientURLs"])
  }

  private static func list(_ value: JSONValue?) -> [String] {
    (value?.array ?? []).compactMap(\.string)
  }

  /// The member as the API shows it.
  public var message: Etcdserverpb.Member {
    Etcdserverpb.Member(
      id: id.rawValue, name: name, peerURLs: peerURLs, clientURLs: clientURLs, isLearner: isLearner)
  }
}

/// Why a membership change or a stored membership is refused.
public enum MembershipError: Error, Hashable, Sendable, CustomStringConvertible {
  case idRemoved
  case idExists
  case idNotFound
  case peerURLExists
  case memberNotLearner
  case tooManyLearners
  case malformed(String)

  public var description: String {
    switch self {
    case .idRemoved: "membership: ID removed"
    case .idExists: "membership: ID exists"
    case .idNotFound: "membership: ID not found"
    case .peerURLExists: "membership: peerURL exists"
    case .memberNotLearner: "membership: can only promote a learner member"
    case .tooManyLearners: "membership: too many learner members in cluster"
    case .malformed(let text): text
    }
  }
}
