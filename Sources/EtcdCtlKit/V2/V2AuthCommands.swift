import Bytes
import CommandLineTool
import HTTP
import V2API

/// - Source: etcd 3.5 `etcdctl/ctlv2/command/auth_commands.go`, `user_commands.go`, `role_commands.go`.
extension EtcdCtl {
  static let v2AuthCommand = V2Command(
    name: "auth", usage: "overall auth controls",
    commands: [
      authSwitch("enable", "enable auth access controls", isOn: true),
      authSwitch("disable", "disable auth access controls", isOn: false),
    ])

  private static func authSwitch(_ name: String, _ usage: String, isOn: Bool) -> V2Command {
    V2Command(
      name: name, usage: usage, argumentsUsage: " ",
      run: { (invocation) throws(CommandFailure) in
        try invocation.takesNothing()
        try invocation.auth { (auth) throws(V2Failure) in
          try auth.enable(isOn)
          invocation.console.print("Authentication \(isOn ? "Enabled" : "Disabled")\n")
        }
      })
  }

  // MARK: users

  static let v2UserCommand = V2Command(
    name: "user", usage: "user add, grant and revoke subcommands",
    commands: [
      user("add", "add a new user for the etcd cluster") {
        (invocation, auth, word) throws(V2Failure) in
        // Go asks with this very prompt; a colon in the word brings the password along.
        let world = invocation.world
        let pair = ClientSettings.user(word, "") { world.askPassword("New password: ") }
        try auth.addUser(pair?.name ?? "", password: pair?.password ?? "")
        invocation.console.print("User \(pair?.name ?? "") created\n")
      },
      user("get", "get details for a user") { (invocation, auth, name) throws(V2Failure) in
        let roles = try auth.roles(of: name).joined(separator: " ")
        invocation.console.print("User: \(name)\nRoles: \(roles)\n")
      },
      V2Command(
        name: "list", usage: "list all current users", argumentsUsage: "<user>",
        run: { (invocation) throws(CommandFailure) in
          try invocation.takesNothing()
          try invocation.auth { (auth) throws(V2Failure) in
            let names = try auth.users()
            invocation.console.print(names.map { $0 + "\n" }.joined())
          }
        }),
      user("remove", "remove a user for the etcd cluster") {
        (invocation, auth, name) throws(V2Failure) in
        try auth.removeUser(name)
        invocation.console.print("User \(name) removed\n")
      },
      userChange("grant", "grant roles to an etcd user", .grant),
      userChange("revoke", "revoke roles for an etcd user", .revoke),
      user("passwd", "change password for a user") {
        (invocation, auth, name) throws(V2Failure) in
        try auth.setPassword(of: name, invocation.world.askPassword("New password: "))
        invocation.console.print("Password updated\n")
      },
    ])

  private static func user(
    _ name: String, _ usage: String,
    _ run: @escaping @Sendable (V2Invocation, V2Auth, String) throws(V2Failure) -> Void
  ) -> V2Command {
    V2Command(
      name: name, usage: usage, argumentsUsage: "<user>",
      run: { (invocation) throws(CommandFailure) in
        let name = try invocation.only("Please provide a username")
        try invocation.auth { (auth) throws(V2Failure) in try run(invocation, auth, name) }
      })
  }

  private static func userChange(
    _ name: String, _ usage: String, _ change: V2Auth.Change
  ) -> V2Command {
    V2Command(
      name: name, usage: usage, argumentsUsage: "<user>",
      flags: [V2Flag("roles", .strings, "List of roles to grant or revoke")],
      run: { (invocation) throws(CommandFailure) in
        let roles = invocation.words.strings("roles")
        guard !roles.isEmpty else {
          throw invocation.refused("No roles specified; please use `--roles`")
        }
        let name = try invocation.only("Please provide a username")
        try invocation.auth { (auth) throws(V2Failure) in
          try auth.change(user: name, change, roles: roles)
          invocation.console.print("User \(name) updated\n")
        }
      })
  }

  // MARK: roles

  static let v2RoleCommand = V2Command(
    name: "role", usage: "role add, grant and revoke subcommands",
    commands: [
      role("add", "add a new role for the etcd cluster", "<role> ") {
        (invocation, auth, name) throws(V2Failure) in
        if (try? auth.role(name)) != nil { throw .other("Role \(name) already exists") }
        try auth.addRole(name)
        invocation.console.print("Role \(name) created\n")
      },
      role("get", "get details for a role") { (invocation, auth, name) throws(V2Failure) in
        let role = try auth.role(name)
        func lines(_ paths: [String]?) -> String {
          (paths ?? []).map { "\t\($0)\n" }.joined()
        }
        invocation.console.print(
          "Role: \(role.name)\nKV Read:\n\(lines(role.permissions.read))"
            + "KV Write:\n\(lines(role.permissions.write))")
      },
      V2Command(
        name: "list", usage: "list all roles", argumentsUsage: " ",
        run: { (invocation) throws(CommandFailure) in
          try invocation.takesNothing()
          try invocation.auth { (auth) throws(V2Failure) in
            let names = try auth.roles()
            invocation.console.print(names.map { $0 + "\n" }.joined())
          }
        }),
      role("remove", "remove a role from the etcd cluster") {
        (invocation, auth, name) throws(V2Failure) in
        try auth.removeRole(name)
        invocation.console.print("Role \(name) removed\n")
      },
      roleChange("grant", "grant path matches to an etcd role", .grant, "granted for", "Grant"),
      roleChange(
        "revoke", "revoke path matches for an etcd role", .revoke, "revoked for", "Revoke"),
    ])

  private static func role(
    _ name: String, _ usage: String, _ arguments: String = "<role>",
    _ run: @escaping @Sendable (V2Invocation, V2Auth, String) throws(V2Failure) -> Void
  ) -> V2Command {
    V2Command(
      name: name, usage: usage, argumentsUsage: arguments,
      run: { (invocation) throws(CommandFailure) in
        let name = try invocation.only("Please provide a role name")
        try invocation.auth { (auth) throws(V2Failure) in try run(invocation, auth, name) }
      })
  }

  private static func roleChange(
    _ name: String, _ usage: String, _ change: V2Auth.Change, _ done: String, _ verb: String
  ) -> V2Command {
    let only = change == .grant ? "-only" : ""
    return V2Command(
      name: name, usage: usage, argumentsUsage: "<role>",
      flags: [
        V2Flag("path", .string, "Path \(done) the role to access"),
        V2Flag("read", .bool, "\(verb) read\(only) access"),
        V2Flag("write", .bool, "\(verb) write\(only) access"),
        V2Flag(["readwrite", "rw"], .bool, "\(verb) read-write access"),
      ],
      run: { (invocation) throws(CommandFailure) in
        let permissions = try permissions(invocation)
        let name = try invocation.only("Please provide a role name")
        try invocation.auth { (auth) throws(V2Failure) in
          let before = try auth.role(name)
          if try auth.change(role: name, change, permissions) == before {
            invocation.console.print(
              "Role unchanged; already \(change)\(change == .grant ? "ed" : "d")")
          }
          invocation.console.print("Role \(name) updated\n")
        }
      })
  }

  private static func permissions(
    _ invocation: V2Invocation
  ) throws(CommandFailure) -> V2Auth.Permissions {
    let path = invocation.words.string("path")
    guard !path.isEmpty else {
      throw invocation.refused("No path specified; please use `--path`")
    }
    let clean = HTTPRouter.clean(Bytes(path)).string
    guard clean == path else {
      throw invocation.refused("Not canonical path; please use `--path=\(clean)`")
    }
    let kinds = ["read", "write", "readwrite"].filter(invocation.words.bool)
    guard kinds.count == 1 else {
      throw invocation.refused("Please specify exactly one of --read, --write or --readwrite")
    }
    return V2Auth.Permissions(
      read: kinds == ["write"] ? nil : [path], write: kinds == ["read"] ? nil : [path])
  }
}

extension V2Invocation {
  fileprivate func takesNothing() throws(CommandFailure) {
    guard arguments.isEmpty else { throw refused("No arguments accepted") }
  }

  /// The one word that is asked for.
  fileprivate func only(_ refusal: String) throws(CommandFailure) -> String {
    guard arguments.count == 1 else { throw refused(refusal) }
    return arguments[0]
  }

  /// Connects and runs a command about users.
  fileprivate func auth(_ body: (V2Auth) throws(V2Failure) -> Void) throws(CommandFailure) {
    let client = try V2Client(self)
    if globals.bool("debug") { client.debug("Cluster-Endpoints: \(client.list(", "))") }
    do throws(V2Failure) { try body(V2Auth(client: client)) } catch {
      throw refused(error.message)
    }
  }
}
