import Bytes
import CommandLineTool
import EtcdAPI
import JSON
import Protobuf

/// - Source: etcd `etcdctl/ctlv3/command/auth_command.go`, `user_command.go`.
extension EtcdCtl {
  /// The views of an answer that holds no more than a header.
  static func headerViews(
    _ header: Etcdserverpb.ResponseHeader?, _ raw: Bytes, _ text: String
  ) -> Views {
    Views(
      simple: { $0.append(text + "\n") }, json: { GoObject(header: header).json },
      fields: { $0.header(header) }, raw: raw)
  }

  /// A request that is answered by a header.
  static func request<Reply: ProtobufMessage>(
    _ invocation: Invocation, _ world: World, _ method: MethodDescriptor,
    _ request: some ProtobufMessage, _ type: Reply.Type,
    _ header: KeyPath<Reply, Etcdserverpb.ResponseHeader?>, _ text: String
  ) throws(CommandFailure) {
    let context = try Context(invocation, world)
    let answer = try context.request(method, request, type)
    try context.printer.show(headerViews(answer.message[keyPath: header], answer.raw, text))
  }

  /// - Throws: when there are not exactly so many words.
  static func words(
    _ invocation: Invocation, _ count: Int, _ message: String
  ) throws(CommandFailure) -> [String] {
    guard invocation.arguments.count == count else { throw misuse(message) }
    return invocation.arguments
  }

  // MARK: auth

  static func authCommand(_ world: World) -> Command {
    var auth = Command(
      "auth <enable or disable>", short: "Enable or disable authentication")
    auth.commands = [
      command("enable", "Enables authentication") { (invocation) throws(CommandFailure) in
        _ = try words(invocation, 0, "auth enable command does not accept any arguments")
        try enable(try Context(invocation, world))
        invocation.console.print("Authentication Enabled\n")
      },
      command("disable", "Disables authentication") { (invocation) throws(CommandFailure) in
        _ = try words(invocation, 0, "auth disable command does not accept any arguments")
        _ = try Context(invocation, world).request(
          Etcdserverpb.AuthService.authDisable, Etcdserverpb.AuthDisableRequest(),
          Etcdserverpb.AuthDisableResponse.self)
        invocation.console.print("Authentication Disabled\n")
      },
      command("status", "Returns authentication status") {
        (invocation) throws(CommandFailure) in
        _ = try words(invocation, 0, "auth status command does not accept any arguments")
        try showAuthStatus(try Context(invocation, world))
      },
    ]
    return auth
  }

  /// Root gets its role on the way.
  private static func enable(_ context: Context) throws(CommandFailure) {
    let service = Etcdserverpb.AuthService.self
    while true {
      do throws(ClientFailure) {
        _ = try context.call(
          service.authEnable, Etcdserverpb.AuthEnableRequest(),
          Etcdserverpb.AuthEnableResponse.self)
        return
      } catch {
        guard error.message == EtcdError.rootRoleNotExist.message else {
          throw CommandFailure(error.message)
        }
      }
      _ = try context.request(
        service.roleAdd, Etcdserverpb.AuthRoleAddRequest(name: "root"),
        Etcdserverpb.AuthRoleAddResponse.self)
      _ = try context.request(
        service.userGrantRole, Etcdserverpb.AuthUserGrantRoleRequest(user: "root", role: "root"),
        Etcdserverpb.AuthUserGrantRoleResponse.self)
    }
  }

  private static func showAuthStatus(_ context: Context) throws(CommandFailure) {
    let answer = try context.request(
      Etcdserverpb.AuthService.authStatus, Etcdserverpb.AuthStatusRequest(),
      Etcdserverpb.AuthStatusResponse.self)
    let reply = answer.message
    try context.printer.show(
      Views(
        simple: { out in
          out.append("Authentication Status: \(reply.enabled)\n")
          out.append("AuthRevision: \(reply.authRevision)\n")
        },
        json: {
          var object = GoObject(header: reply.header)
          object.bool("enabled", reply.enabled)
          object.number("authRevision", reply.authRevision)
          return object.json
        }, raw: answer.raw))
  }

  // MARK: user

  static func userCommand(_ world: World) -> Command {
    var user = Command("user <subcommand>", short: "User related commands")
    let service = Etcdserverpb.AuthService.self
    user.commands = [
      addUserCommand(world), passwordCommand(world), getUserCommand(world),
      command("delete <user name>", "Deletes a user") { (invocation) throws(CommandFailure) in
        let name = try words(
          invocation, 1, "user delete command requires user name as its argument")[0]
        try request(
          invocation, world, service.userDelete, Etcdserverpb.AuthUserDeleteRequest(name: name),
          Etcdserverpb.AuthUserDeleteResponse.self, \.header, "User \(name) deleted")
      },
      command("list", "Lists all users") { (invocation) throws(CommandFailure) in
        _ = try words(invocation, 0, "user list command requires no arguments")
        let context = try Context(invocation, world)
        let answer = try context.request(
          service.userList, Etcdserverpb.AuthUserListRequest(),
          Etcdserverpb.AuthUserListResponse.self)
        let reply = answer.message
        try context.printer.show(
          Views(
            simple: { out in for user in reply.users { out.append(user + "\n") } },
            json: {
              var object = GoObject(header: reply.header)
              object.list("users", reply.users.map { .string($0) })
              return object.json
            }, raw: answer.raw))
      },
      command("grant-role <user name> <role name>", "Grants a role to a user") {
        (invocation) throws(CommandFailure) in
        let names = try words(
          invocation, 2, "user grant command requires user name and role name as its argument")
        try request(
          invocation, world, service.userGrantRole,
          Etcdserverpb.AuthUserGrantRoleRequest(user: names[0], role: names[1]),
          Etcdserverpb.AuthUserGrantRoleResponse.self, \.header,
          "Role \(names[1]) is granted to user \(names[0])")
      },
      command("revoke-role <user name> <role name>", "Revokes a role from a user") {
        (invocation) throws(CommandFailure) in
        let names = try words(
          invocation, 2, "user revoke-role requires user name and role name as its argument")
        try request(
          invocation, world, service.userRevokeRole,
          Etcdserverpb.AuthUserRevokeRoleRequest(name: names[0], role: names[1]),
          Etcdserverpb.AuthUserRevokeRoleResponse.self, \.header,
          "Role \(names[1]) is revoked from user \(names[0])")
      },
    ]
    return user
  }

  private static func addUserCommand(_ world: World) -> Command {
    command(
      "add <user name or user:password> [options]", "Adds a new user",
      [
        CommandFlag(
          "interactive", .bool, default: "true",
          "Read password from stdin instead of interactive terminal"),
        CommandFlag(
          "new-user-password", .string, "Supply password from the command line flag"),
        CommandFlag(
          "no-password", .bool, "Create a user without password (CN based auth only)"),
      ]
    ) { (invocation) throws(CommandFailure) in
      let word = try words(
        invocation, 1, "user add command requires user name as its argument")[0]
      var user = Etcdserverpb.AuthUserAddRequest(name: word)
      user.options = Authpb.UserAddOptions(noPassword: invocation.bool("no-password"))
      let given = invocation.string("new-user-password")
      if invocation.bool("no-password") {
        user.password = ""
      } else if !given.isEmpty {
        user.password = given
      } else if let colon = word.firstIndex(of: ":") {
        user.name = String(word[..<colon])
        user.password = String(word[word.index(after: colon)...])
        if user.name.isEmpty { throw misuse("empty user name is not allowed") }
      } else {
        user.password = try newPassword(invocation, world, word)
      }
      try request(
        invocation, world, Etcdserverpb.AuthService.userAdd, user,
        Etcdserverpb.AuthUserAddResponse.self, \.header, "User \(user.name) created")
    }
  }

  private static func passwordCommand(_ world: World) -> Command {
    command(
      "passwd <user name> [options]", "Changes password of user",
      [
        CommandFlag(
          "interactive", .bool, default: "true",
          "If true, read password from stdin instead of interactive terminal")
      ]
    ) { (invocation) throws(CommandFailure) in
      let name = try words(
        invocation, 1, "user passwd command requires user name as its argument")[0]
      let password = try newPassword(invocation, world, name)
      try request(
        invocation, world, Etcdserverpb.AuthService.userChangePassword,
        Etcdserverpb.AuthUserChangePasswordRequest(name: name, password: password),
        Etcdserverpb.AuthUserChangePasswordResponse.self, \.header, "Password updated")
    }
  }

  /// A password that is asked for twice, or the first word of standard input.
  private static func newPassword(
    _ invocation: Invocation, _ world: World, _ name: String
  ) throws(CommandFailure) -> String {
    guard invocation.bool("interactive") else { return Input(world.read).word() }
    let password = world.askPassword("Password of \(name): ")
    guard !password.isEmpty else { throw misuse("empty password") }
    let again = world.askPassword("Type password of \(name) again for confirmation: ")
    guard again == password else {
      throw misuse("given passwords are different")
    }
    return password
  }

  private static func getUserCommand(_ world: World) -> Command {
    command(
      "get <user name> [options]", "Gets detailed information of a user",
      [CommandFlag("detail", .bool, "Show permissions of roles granted to the user")]
    ) { (invocation) throws(CommandFailure) in
      let name = try words(
        invocation, 1, "user get command requires user name as its argument")[0]
      let context = try Context(invocation, world)
      let answer = try context.request(
        Etcdserverpb.AuthService.userGet, Etcdserverpb.AuthUserGetRequest(name: name),
        Etcdserverpb.AuthUserGetResponse.self)
      let reply = answer.message
      if invocation.bool("detail") {
        world.write(Bytes("User: \(name)\n"))
        for role in reply.roles {
          world.write("\n")
          try showRole(role, context)
        }
        return
      }
      try context.printer.show(
        Views(
          simple: { out in
            out.append("User: \(name)\nRoles:" + reply.roles.map { " " + $0 }.joined() + "\n")
          },
          json: {
            var object = GoObject(header: reply.header)
            object.list("roles", reply.roles.map { .string($0) })
            return object.json
          }, raw: answer.raw))
    }
  }
}
