import Bytes
import JSON

extension AuthPlan {
  /// What makes the users and turns authentication on.
  var calls: [FleetLife.MemberCall] {
    typealias Call = FleetLife.MemberCall
    func call(_ path: String, _ body: JSONObject, _ accepted: String...) -> Call {
      Call(path: "/v3/auth/\(path)", body: body, accepted: accepted)
    }
    var calls: [Call] = []
    for user in [User(name: "root", password: root, permissions: [])] + users {
      let role = user.name
      calls.append(call("role/add", ["name": .string(role)], "role name already exists"))
      for permission in user.permissions { calls.append(grant(permission, to: role)) }
      calls.append(
        call(
          "user/add", ["name": .string(user.name), "password": .string(user.password)],
          "user name already exists"))
      calls.append(
        call("user/grant", ["user": .string(user.name), "role": .string(role)]))
    }
    return calls + [call("enable", [:])]
  }

  private func grant(_ permission: Permission, to role: String) -> FleetLife.MemberCall {
    var range: JSONObject = [
      "permType": .string(
        ["r": "READ", "w": "WRITE", "rw": "READWRITE"][permission.kind.rawValue] ?? "READ"),
      "key": .string(Base64.standard.encode(Bytes(permission.key)).string),
    ]
    if permission.isPrefix {
      range["range_end"] = .string(
        Base64.standard.encode(Bytes(permission.key).endOfPrefix).string)
    }
    return FleetLife.MemberCall(
      path: "/v3/auth/role/grant", body: ["name": .string(role), "perm": .object(range)])
  }
}
