import Bytes
import JSON

/// `cluster.json`: the plan as a file, so that `down` and `up` bring back the same cluster. Pure.
enum ClusterFile {
  static let version = 2

  static func text(_ plan: ClusterPlan) -> String {
    var object: JSONObject = [
      "version": .integer(version), "ports": ports(plan.ports),
      "members": .array(plan.members.map(member)),
      "flags": strings(plan.flags), "environment": strings(plan.environment),
      "tls": .string(plan.security.rawValue), "relay": .string(plan.relay.rawValue),
      "wasHealthy": .bool(plan.wasHealthy),
      "skipsSync": .bool(plan.skipsSync), "watchesDisks": .bool(plan.watchesDisks),
    ]
    if plan.isDiscovered { object["discovery"] = true }
    if plan.page != .none { object["ui"] = .string(plan.page.text) }
    object["binary"] = plan.binary.map(JSONValue.string)
    object["memoryDirectory"] = plan.memoryDirectory.map(JSONValue.string)
    if !plan.seed.isEmpty {
      object["seed"] = .array(plan.seed.map { [.string($0.key), .string($0.value)] })
    }
    if !plan.zones.isEmpty { object["zones"] = plan.zones.json }
    if !plan.faults.isEmpty { object["faults"] = .array(plan.faults.map { .object($0.json) }) }
    if let auth = plan.auth {
      object["auth"] = self.auth(auth)
      object["isAuthReady"] = .bool(plan.isAuthReady)
    }
    return JSONValue.object(object).encoded().string + "\n"
  }

  /// - Parameter directory: where the file was found; plans follow their directory.
  /// - Returns: `nil` when the text is no plan.
  static func plan(_ text: Bytes, directory: String) -> ClusterPlan? {
    guard let json = try? JSONValue.parse(text) else { return nil }
    if let size = json["members"]?.integer(as: Int.self) {
      return firstVersion(size, json["basePort"]?.integer(as: Int.self), directory)
    }
    guard json["version"]?.integer(as: Int.self) == version,
      let ports = json["ports"].flatMap(portPlan), let members = json["members"]?.array,
      (1...ClusterPlan.membersMax).contains(members.count),
      let security = json["tls"]?.string.flatMap(ClusterPlan.Security.init(rawValue:))
    else { return nil }
    var plan = ClusterPlan(
      size: 1, ports: ports, directory: directory, memoryDirectory: json["memoryDirectory"]?.string)
    plan = plan.secured(security)
      .relayed(json["relay"]?.string.flatMap(ClusterPlan.Relaying.init(rawValue:)) ?? .none)
    plan.members = members.compactMap { member($0, plan) }
    guard plan.members.count == members.count else { return nil }
    plan.isDiscovered = json["discovery"]?.bool ?? false
    plan.page = json["ui"]?.string.flatMap(PagePlan.init) ?? .none
    plan.binary = json["binary"]?.string
    plan.flags = texts(json["flags"])
    plan.environment = texts(json["environment"])
    plan.wasHealthy = json["wasHealthy"]?.bool ?? false
    plan.skipsSync = json["skipsSync"]?.bool ?? false
    plan.watchesDisks = json["watchesDisks"]?.bool ?? true
    plan.seed = (json["seed"]?.array ?? []).compactMap { pair in
      let words = texts(pair)
      return words.count == 2 ? AuthPlan.Pair(key: words[0], value: words[1]) : nil
    }
    plan.zones = json["zones"].map(ZonePlan.init) ?? ZonePlan()
    plan.faults = (json["faults"]?.array ?? []).compactMap(FaultOrder.init)
    plan.auth = json["auth"].flatMap(authPlan)
    plan.isAuthReady = json["isAuthReady"]?.bool ?? false
    return plan
  }

  /// What earlier versions wrote, with the ports they took.
  private static func firstVersion(_ size: Int, _ base: Int?, _ directory: String) -> ClusterPlan? {
    guard ClusterPlan.sizes.contains(size) else { return nil }
    var plan = ClusterPlan(
      size: size, ports: base.map(PortPlan.base) ?? .standard, directory: directory)
    plan.wasHealthy = true
    guard base == nil else { return plan }
    for position in plan.members.indices {
      let client = (position % 5 + 1) * 10_000 + 2379 + 10 * (position / 5)
      plan.members[position].ports.client = client
      plan.members[position].ports.peer = client + 1
    }
    return plan
  }

  // MARK: parts

  private static func strings(_ texts: [String]) -> JSONValue {
    .array(texts.map(JSONValue.string))
  }
  private static func texts(_ json: JSONValue?) -> [String] {
    (json?.array ?? []).compactMap(\.string)
  }

  private static func ports(_ ports: PortPlan) -> JSONValue {
    switch ports {
    case .standard: "standard"
    case .base(let port): ["base": .integer(port)]
    case .found(let port): ["found": .integer(port)]
    }
  }

  private static func portPlan(_ json: JSONValue) -> PortPlan? {
    if json.string == "standard" { return .standard }
    if let port = json["base"]?.integer(as: Int.self) { return .base(port) }
    return json["found"]?.integer(as: Int.self).map(PortPlan.found)
  }

  private static func member(_ member: MemberPlan) -> JSONValue {
    var object: JSONObject = [
      "name": .string(member.name), "ports": .array(member.ports.all.map { .integer($0) }),
      "flags": strings(member.flags), "environment": strings(member.environment),
      "learner": .bool(member.isLearner), "start": .bool(member.startsWithCluster),
    ]
    object["binary"] = member.binary.map(JSONValue.string)
    object["joined"] = member.joined.map(JSONValue.string)
    return .object(object)
  }

  private static func member(_ json: JSONValue, _ plan: ClusterPlan) -> MemberPlan? {
    guard let name = json["name"]?.string, name.first == "m", let index = Int(name.dropFirst()),
      index >= 1, index <= ClusterPlan.membersMax,
      let numbers = json["ports"]?.array?.compactMap({ $0.integer(as: Int.self) }),
      numbers.count == 4, numbers.allSatisfy({ (1...65_535).contains($0) })
    else { return nil }
    var member = plan.newMember(index)
    member.ports = MemberPorts(
      client: numbers[0], peer: numbers[1], innerClient: numbers[2], innerPeer: numbers[3])
    member.binary = json["binary"]?.string
    member.flags = texts(json["flags"])
    member.environment = texts(json["environment"])
    member.isLearner = json["learner"]?.bool ?? false
    member.startsWithCluster = json["start"]?.bool ?? true
    member.joined = json["joined"]?.string
    return member
  }

  private static func auth(_ auth: AuthPlan) -> JSONValue {
    let users: [JSONValue] = auth.users.map { user in
      [
        "name": .string(user.name), "password": .string(user.password),
        "permissions": .array(
          user.permissions.map {
            [
              "kind": .string($0.kind.rawValue), "key": .string($0.key),
              "prefix": .bool($0.isPrefix),
            ]
          }),
      ]
    }
    return ["root": .string(auth.root), "users": .array(users)]
  }

  private static func authPlan(_ json: JSONValue) -> AuthPlan? {
    guard let root = json["root"]?.string else { return nil }
    var auth = AuthPlan()
    auth.root = root
    auth.users = (json["users"]?.array ?? []).compactMap { user in
      guard let name = user["name"]?.string, let password = user["password"]?.string else {
        return nil
      }
      let permissions = (user["permissions"]?.array ?? []).compactMap {
        (json) -> AuthPlan.Permission? in
        guard let kind = json["kind"]?.string.flatMap(AuthPlan.Kind.init(rawValue:)),
          let key = json["key"]?.string
        else { return nil }
        return AuthPlan.Permission(
          kind: kind, key: key, isPrefix: json["prefix"]?.bool ?? false)
      }
      return AuthPlan.User(name: name, password: password, permissions: permissions)
    }
    return auth
  }
}
