import Bytes
import CommandLineTool
import EtcdAPI
import GoText
import JSON
import Protobuf

/// - Source: etcd `etcdctl/ctlv3/command/role_command.go`.
extension EtcdCtl {
  static func roleCommand(_ world: World) -> Command {
    var role = Command("role <subcommand>", short: "Role related commands")
    let service = Etcdserverpb.AuthService.self
    role.commands = [
      command("add <role name>", "Adds a new role") { (invocation) throws(CommandFailure) in
        let name = try words(
          invocation, 1, "role add command requires role name as its argument")[0]
        try request(
          invocation, world, service.roleAdd, Etcdserverpb.AuthRoleAddRequest(name: name),
          Etcdserverpb.AuthRoleAddResponse.self, \.header, "Role \(name) created")
      },
      command("delete <role name>", "Deletes a role") { (invocation) throws(CommandFailure) in
        let name = try words(
          invocation, 1, "role delete command requires role name as its argument")[0]
        try request(
          invocation, world, service.roleDelete, Etcdserverpb.AuthRoleDeleteRequest(role: name),
          Etcdserverpb.AuthRoleDeleteResponse.self, \.header, "Role \(name) deleted")
      },
      command("get <role name>", "Gets detailed information of a role") {
        (invocation) throws(CommandFailure) in
        let name = try words(
          invocation, 1, "role get command requires role name as its argument")[0]
        try showRole(name, try Context(invocation, world))
      },
      command("list", "Lists all roles") { (invocation) throws(CommandFailure) in
        _ = try words(invocation, 0, "role list command requires no arguments")
        try listRoles(try Context(invocation, world))
      },
      grantCommand(world), revokeCommand(world),
    ]
    return role
  }

  private static func listRoles(_ context: Context) throws(CommandFailure) {
    let answer = try context.request(
      Etcdserverpb.AuthService.roleList, Etcdserverpb.AuthRoleListRequest(),
      Etcdserverpb.AuthRoleListResponse.self)
    let reply = answer.message
    try context.printer.show(
      Views(
        simple: { out in for role in reply.roles { out.append(role + "\n") } },
        json: {
          var object = GoObject(header: reply.header)
          object.list("roles", reply.roles.map { .string($0) })
          return object.json
        },
        fields: { text in
          text.header(reply.header)
          let names = reply.roles.map { " " + GoQuote.text(Bytes($0)) }.joined()
          text.line("\"Roles\" :" + names)
        }, raw: answer.raw))
  }

  // MARK: permissions

  private static func permissionFlags(_ verb: String) -> [CommandFlag] {
    [
      CommandFlag("prefix", .bool, "\(verb) a prefix permission"),
      CommandFlag(
        "from-key", .bool,
        "\(verb) a permission of keys that are greater than or equal to the given key using byte "
          + "compare"),
    ]
  }

  private static func grantCommand(_ world: World) -> Command {
    command(
      "grant-permission [options] <role name> <permission type> <key> [endkey]",
      "Grants a key to a role", permissionFlags("grant")
    ) { (invocation) throws(CommandFailure) in
      let words = invocation.arguments
      guard words.count >= 3 else {
        throw misuse(
          "role grant command requires role name, permission type, and key [endkey] as its "
            + "argument")
      }
      guard let type = Authpb.Permission.TypeEnum(protoName: words[1].uppercased()) else {
        throw misuse("invalid permission type: \(words[1])")
      }
      let (key, end) = try range(invocation, Array(words[2...]))
      try request(
        invocation, world, Etcdserverpb.AuthService.roleGrantPermission,
        Etcdserverpb.AuthRoleGrantPermissionRequest(
          name: words[0], perm: Authpb.Permission(permType: type, key: key, rangeEnd: end)),
        Etcdserverpb.AuthRoleGrantPermissionResponse.self, \.header, "Role \(words[0]) updated")
    }
  }

  private static func revokeCommand(_ world: World) -> Command {
    command(
      "revoke-permission <role name> <key> [endkey]", "Revokes a key from a role",
      permissionFlags("revoke")
    ) { (invocation) throws(CommandFailure) in
      let words = invocation.arguments
      guard words.count >= 2 else {
        throw misuse(
          "role revoke-permission command requires role name and key [endkey] as its argument")
      }
      let (key, end) = try range(invocation, Array(words[1...]))
      let text: String
      if end.isEmpty {
        text = "Permission of key \(words[1]) is revoked from role \(words[0])"
      } else {
        let last = end == [0] ? "<open ended>" : end.string + ")"
        text = "Permission of range [\(words[1]), \(last) is revoked from role \(words[0])"
      }
      try request(
        invocation, world, Etcdserverpb.AuthService.roleRevokePermission,
        Etcdserverpb.AuthRoleRevokePermissionRequest(role: words[0], key: key, rangeEnd: end),
        Etcdserverpb.AuthRoleRevokePermissionResponse.self, \.header, text)
    }
  }

  /// Key and end of a permission: one key, a prefix, everything behind a key, or what two words say.
  private static func range(
    _ invocation: Invocation, _ words: [String]
  ) throws(CommandFailure) -> (key: Bytes, end: Bytes) {
    let isPrefix = invocation.bool("prefix")
    let isOpen = invocation.bool("from-key")
    let key = argumentBytes(words[0])
    let isAlone = key.isEmpty || words.count == 1
    if isAlone, isPrefix, isOpen {
      throw misuse("--from-key and --prefix flags are mutually exclusive")
    }
    if key.isEmpty { return ([0], isPrefix || isOpen ? [0] : []) }
    if isAlone { return (key, isPrefix ? key.endOfPrefix : isOpen ? [0] : []) }
    if isPrefix { throw misuse("unexpected endkey argument with --prefix flag") }
    if isOpen { throw misuse("unexpected endkey argument with --from-key flag") }
    return (key, argumentBytes(words[1]))
  }

  // MARK: get

  static func showRole(_ name: String, _ context: Context) throws(CommandFailure) {
    let answer = try context.request(
      Etcdserverpb.AuthService.roleGet, Etcdserverpb.AuthRoleGetRequest(role: name),
      Etcdserverpb.AuthRoleGetResponse.self)
    let reply = answer.message
    try context.printer.show(
      Views(
        simple: { out in
          out.append("Role \(name)\nKV Read:\n")
          for one in reply.perm where one.permType != .write { line(one, &out) }
          out.append("KV Write:\n")
          for one in reply.perm where one.permType != .read { line(one, &out) }
        },
        json: {
          var object = GoObject(header: reply.header)
          object.list(
            "perm",
            reply.perm.map { permission in
              var one = GoObject()
              one.number("permType", permission.permType.rawValue)
              one.bytes("key", permission.key)
              one.bytes("range_end", permission.rangeEnd)
              return one.json
            })
          return object.json
        },
        fields: { text in
          text.header(reply.header)
          for one in reply.perm {
            text.line("\"PermType\" :  \(one.permType.protoName ?? "")")
            text.quoted("Key", one.key)
            text.quoted("RangeEnd", one.rangeEnd)
          }
        }, raw: answer.raw))
  }

  private static func line(_ permission: Authpb.Permission, _ out: inout ByteWriter) {
    out.append("\t")
    if permission.rangeEnd.isEmpty {
      out.append(permission.key)
    } else {
      out.append("[")
      out.append(permission.key)
      out.append(", ")
      if permission.rangeEnd == [0] {
        out.append("<open ended>")
      } else {
        out.append(permission.rangeEnd)
        out.append(")")
      }
      if permission.key.endOfPrefix == permission.rangeEnd {
        out.append(" (prefix ")
        out.append(permission.key)
        out.append(")")
      }
    }
    out.append("\n")
  }
}
