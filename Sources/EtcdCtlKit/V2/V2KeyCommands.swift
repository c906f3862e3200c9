import CommandLineTool
import V2API

/// - Source: etcd 3.5 `etcdctl/ctlv2/command`: `set_command.go`, `mk_command.go` and so on.
extension EtcdCtl {
  private static let ttl = V2Flag("ttl", .int, default: "0", "key time-to-live in seconds")
  private static let sort = V2Flag("sort", .bool, "returns result in sorted order")
  private static let quorum = V2Flag(
    ["quorum", "q"], .bool, "require quorum for get request")

  static let v2KeyCommands: [V2Command] = [
    V2Command(
      name: "mk", usage: "make a new key with a given value", argumentsUsage: "<key> <value>",
      flags: [V2Flag("in-order", .bool, "create in-order key under directory <key>"), ttl],
      run: { (invocation) throws(CommandFailure) in
        try change(invocation) { (key) throws(CommandFailure) in
          let value = try invocation.value()
          return invocation.words.bool("in-order")
            ? V2Keys.createInOrder(key, value, invocation.words)
            : V2Keys.set(key, value, .isNew, invocation.words)
        }
      }),
    directoryCommand("mkdir", "make a new directory", "<key>", .isNew),
    V2Command(
      name: "rm", usage: "remove a key or a directory", argumentsUsage: "<key>",
      flags: [
        V2Flag("dir", .bool, "removes the key if it is an empty directory or a key-value pair"),
        V2Flag(
          ["recursive", "r"], .bool, "removes the key and all child keys(if it is a directory)"),
        V2Flag("with-value", .string, "previous value"),
        V2Flag("with-index", .int, default: "0", "previous index"),
      ],
      run: { (invocation) throws(CommandFailure) in
        try remove(invocation, isDirectory: invocation.words.bool("dir"))
      }),
    V2Command(
      name: "rmdir", usage: "removes the key if it is an empty directory or a key-value pair",
      argumentsUsage: "<key>",
      run: { (invocation) throws(CommandFailure) in try remove(invocation, isDirectory: true) }),
    V2Command(
      name: "get", usage: "retrieve the value of a key", argumentsUsage: "<key>",
      flags: [sort, quorum],
      run: { (invocation) throws(CommandFailure) in
        let response = try ask(invocation) { (key) throws(CommandFailure) in
          V2Keys.get(key, invocation.words)
        }
        guard !response.node.isDirectory else {
          throw invocation.refused("\(response.node.key): is a directory")
        }
        response.show(invocation)
      }),
    V2Command(
      name: "ls", usage: "retrieve a directory", argumentsUsage: "[key]",
      flags: [
        sort,
        V2Flag(
          ["recursive", "r"], .bool, "returns all key names recursively for the given path"),
        V2Flag("p", .bool, "append slash (/) to directories"), quorum,
      ],
      run: { (invocation) throws(CommandFailure) in
        let key = invocation.arguments.first ?? "/"
        let response = try ask(invocation, key: key) { (key) throws(CommandFailure) in
          V2Keys.get(key, invocation.words)
        }
        response.list(invocation)
      }),
    V2Command(
      name: "set", usage: "set the value of a key", argumentsUsage: "<key> <value>",
      description: """
        Set sets the value of a key.

           When <value> begins with '-', <value> is interpreted as a flag.
           Insert '--' for workaround:

           $ set -- <key> <value>
        """,
      flags: [
        ttl, V2Flag("swap-with-value", .string, "previous value"),
        V2Flag("swap-with-index", .int, default: "0", "previous index"),
      ],
      run: { (invocation) throws(CommandFailure) in
        try change(invocation) { (key) throws(CommandFailure) in
          V2Keys.set(key, try invocation.value(), .any, invocation.words)
        }
      }),
    directoryCommand(
      "setdir", "create a new directory or update an existing directory TTL", "<key>", .any),
    V2Command(
      name: "update", usage: "update an existing key with a given value",
      argumentsUsage: "<key> <value>", flags: [ttl],
      run: { (invocation) throws(CommandFailure) in
        try change(invocation) { (key) throws(CommandFailure) in
          V2Keys.set(key, try invocation.value(), .exists, invocation.words)
        }
      }),
    directoryCommand("updatedir", "update an existing directory", "<key> <value>", .exists),
  ]

  private static func directoryCommand(
    _ name: String, _ usage: String, _ arguments: String, _ existence: V2Keys.Existence
  ) -> V2Command {
    V2Command(
      name: name, usage: usage, argumentsUsage: arguments, flags: [ttl],
      run: { (invocation) throws(CommandFailure) in
        let response = try ask(invocation) { (key) throws(CommandFailure) in
          V2Keys.set(key, nil, existence, invocation.words)
        }
        if invocation.globals.string("output") != "simple" { response.show(invocation) }
      })
  }

  private static func remove(
    _ invocation: V2Invocation, isDirectory: Bool
  ) throws(CommandFailure) {
    let response = try ask(invocation) { (key) throws(CommandFailure) in
      V2Keys.delete(key, isDirectory: isDirectory, invocation.words)
    }
    if !response.node.isDirectory || invocation.globals.string("output") != "simple" {
      response.show(invocation)
    }
  }

  private static func change(
    _ invocation: V2Invocation, _ request: (String) throws(CommandFailure) -> V2Request
  ) throws(CommandFailure) {
    try ask(invocation, request).show(invocation)
  }

  /// Connects, as Go's commands do before they look at their words, and asks.
  /// - Parameter key: the first word when `nil`.
  private static func ask(
    _ invocation: V2Invocation, key: String? = nil,
    _ request: (String) throws(CommandFailure) -> V2Request
  ) throws(CommandFailure) -> V2Response {
    let keys = V2Keys(client: try V2Client(invocation))
    let first: String
    if let key { first = key } else { first = try invocation.key() }
    let request = try request(first)
    do throws(V2Failure) {
      return try keys.ask(request, deadline: invocation.deadline)
    } catch {
      throw keys.client.told(error)
    }
  }
}

extension V2Client {
  /// The end of a command about keys.
  func told(_ failure: V2Failure) -> CommandFailure {
    let end = failure.told(invocation, exitCode: V2Failure.serverError)
    if failure == .invalidJSON, lastStatus == 404 {
      debug("Hint: \(list(",")) serves no v2 API: its etcd needs the flag --enable-v2.")
    }
    return end
  }
}
