import Bytes
import CommandLineTool
import EtcdAPI
import EtcdClient
import GoText
import Protobuf

extension EtcdCtl {
  // MARK: get

  static let getFlags: [CommandFlag] = [
    CommandFlag("consistency", .string, default: "l", "Linearizable(l) or Serializable(s)"),
    CommandFlag("order", .string, "Order of results; ASCEND or DESCEND (ASCEND by default)"),
    CommandFlag("sort-by", .string, "Sort target; CREATE, KEY, MODIFY, VALUE, or VERSION"),
    CommandFlag("limit", .signed, "Maximum number of results"),
    CommandFlag("prefix", .bool, "Get keys with matching prefix"),
    CommandFlag(
      "from-key", .bool,
      "Get keys that are greater than or equal to the given key using byte compare"),
    CommandFlag("rev", .signed, "Specify the kv revision"),
    CommandFlag("keys-only", .bool, "Get only the keys"),
    CommandFlag("count-only", .bool, "Get only the count"),
    CommandFlag(
      "print-value-only", .bool, "Only write values when using the \"simple\" output format"),
  ]

  static let getUse = "get [options] <key> [range_end]"
  static let putUse = "put [options] <key> <value> (<value> can also be given from stdin)"

  static func getCommand(_ world: World) -> Command {
    command(getUse, "Gets the key or a range of keys", getFlags) {
      (invocation) throws(CommandFailure) in
      let request = try rangeRequest(invocation)
      let context = try Context(invocation, world)
      let answer = try context.request(
        Etcdserverpb.KVService.range, request, Etcdserverpb.RangeResponse.self)
      if invocation.bool("count-only"), context.settings.format != .fields {
        throw misuse("--count-only is only for `--write-out=fields`")
      }
      var printer = context.printer
      if invocation.bool("print-value-only") {
        guard context.settings.format == .simple else {
          throw misuse("print-value-only is only for `--write-out=simple`")
        }
        printer.valueOnly = true
      }
      let reply = answer.message
      try printer.show(
        Views(
          simple: { printer.simple(reply, &$0) }, json: { reply.goJSON },
          fields: { $0.add(reply) }, raw: answer.raw))
    }
  }

  static func rangeRequest(
    _ invocation: Invocation
  ) throws(CommandFailure) -> Etcdserverpb.RangeRequest {
    guard let key = invocation.arguments.first else {
      throw misuse(
        "get command needs one argument as key and an optional argument as range_end")
    }
    try refuseBoth(invocation, "prefix", "from-key")
    try refuseBoth(invocation, "keys-only", "count-only")
    var request = Etcdserverpb.RangeRequest(key: argumentBytes(key))
    switch invocation.string("consistency") {
    case "l": break
    case "s": request.serializable = true
    case let other:
      throw CommandFailure(
        "unknown consistency flag \(GoQuote.text(other))", exitCode: CommandFailure.badFeature)
    }
    try setRange(invocation, &request.key, &request.rangeEnd)
    request.limit = invocation.signed("limit")
    request.revision = Swift.max(0, invocation.signed("rev"))
    request.sortOrder = try sortOrder(invocation.string("order"))
    request.sortTarget = try sortTarget(invocation.string("sort-by"))
    // Keys come in ascending order anyhow.
    if request.sortTarget == .key, request.sortOrder == .ascend { request.sortOrder = .none }
    request.keysOnly = invocation.bool("keys-only")
    request.countOnly = invocation.bool("count-only")
    return request
  }

  static func refuseBoth(
    _ invocation: Invocation, _ one: String, _ other: String
  ) throws(CommandFailure) {
    guard invocation.bool(one), invocation.bool(other) else { return }
    throw misuse("`--\(one)` and `--\(other)` cannot be set at the same time, choose one")
  }

  private static func sortOrder(
    _ text: String
  ) throws(CommandFailure) -> Etcdserverpb.RangeRequest.SortOrder {
    switch text.uppercased() {
    case "": return .none
    case "ASCEND": return .ascend
    case "DESCEND": return .descend
    default:
      throw CommandFailure("bad sort order \(text)", exitCode: CommandFailure.badFeature)
    }
  }

  private static func sortTarget(
    _ text: String
  ) throws(CommandFailure) -> Etcdserverpb.RangeRequest.SortTarget {
    switch text.uppercased() {
    case "", "KEY": return .key
    case "CREATE": return .create
    case "MODIFY": return .mod
    case "VALUE": return .value
    case "VERSION": return .version
    default:
      throw CommandFailure("bad sort target \(text)", exitCode: CommandFailure.badFeature)
    }
  }

  /// The end of a range: a second word, a prefix, or everything behind the key.
  static func setRange(
    _ invocation: Invocation, _ key: inout Bytes, _ end: inout Bytes
  ) throws(CommandFailure) {
    let isPrefix = invocation.bool("prefix")
    let isOpen = invocation.bool("from-key")
    if invocation.arguments.count > 1 {
      if isPrefix || isOpen {
        throw misuse(
          "too many arguments, only accept one argument when `--prefix` or `--from-key` is set")
      }
      end = argumentBytes(invocation.arguments[1])
    }
    guard isPrefix || isOpen else { return }
    end = isOpen || key.isEmpty ? [0] : key.endOfPrefix
    if key.isEmpty { key = [0] }
  }

  // MARK: put

  static let putFlags: [CommandFlag] = [
    CommandFlag("lease", .string, default: "0", "lease ID (in hexadecimal) to attach to the key"),
    CommandFlag(
      "prev-kv", .bool, "return the previous key-value pair before modification"),
    CommandFlag("ignore-value", .bool, "updates the key using its current value"),
    CommandFlag("ignore-lease", .bool, "updates the key using its current lease"),
  ]

  static func putCommand(_ world: World) -> Command {
    var put = command(
      putUse,
      "Puts the given key into the store", putFlags
    ) { (invocation) throws(CommandFailure) in
      let request = try putRequest(invocation) { Input(world.read).all() }
      let context = try Context(invocation, world)
      let answer = try context.request(
        Etcdserverpb.KVService.put, request, Etcdserverpb.PutResponse.self)
      let reply = answer.message
      try context.printer.show(
        Views(
          simple: { context.printer.simple(reply, &$0) }, json: { reply.goJSON },
          fields: { $0.add(reply) }, raw: answer.raw))
    }
    put.long = """
      Puts the given key into the store.

      When <value> begins with '-', <value> is interpreted as a flag.
      Insert '--' for workaround:

      $ put <key> -- <value>
      $ put -- <key> <value>

      If <value> isn't given as a command line argument and '--ignore-value' is not specified,
      this command tries to read the value from standard input.

      If <lease> isn't given as a command line argument and '--ignore-lease' is not specified,
      this command tries to read the value from standard input.

      For example,
      $ cat file | put <key>
      will store the content of the file to <key>.
      """
    return put
  }

  /// - Parameter input: standard input to its end.
  static func putRequest(
    _ invocation: Invocation, input: () -> Bytes
  ) throws(CommandFailure) -> Etcdserverpb.PutRequest {
    let missing = misuse(
      "put command needs 1 argument and input from stdin or 2 arguments")
    guard let key = invocation.arguments.first else { throw missing }
    let keepsValue = invocation.bool("ignore-value")
    if keepsValue, invocation.arguments.count > 1 {
      throw misuse("put command needs only 1 argument when 'ignore-value' is set")
    }
    var request = Etcdserverpb.PutRequest(key: argumentBytes(key))
    if !keepsValue {
      request.value =
        invocation.arguments.count > 1 ? argumentBytes(invocation.arguments[1]) : input()
      if invocation.arguments.count == 1, request.value.isEmpty { throw missing }
    }
    let lease = invocation.string("lease")
    guard let id = Int64(lease, radix: 16) else {
      throw misuse(
        "bad lease ID (\(Numbers.problem("ParseInt", lease, radix: 16))), expecting ID in Hex")
    }
    request.lease = id
    request.prevKv = invocation.bool("prev-kv")
    request.ignoreValue = keepsValue
    request.ignoreLease = invocation.bool("ignore-lease")
    return request
  }

  // MARK: compaction

  static func compactionCommand(_ world: World) -> Command {
    command(
      "compaction [options] <revision>", "Compacts the event history in etcd",
      [
        CommandFlag(
          "physical", .bool,
          "'true' to wait for compaction to physically remove all old revisions")
      ]
    ) { (invocation) throws(CommandFailure) in
      guard invocation.arguments.count == 1 else {
        throw misuse("compaction command needs 1 argument")
      }
      let text = invocation.arguments[0]
      guard let revision = Int64(text) else {
        throw CommandFailure(Numbers.problem("ParseInt", text, radix: 10))
      }
      let context = try Context(invocation, world)
      let request = Etcdserverpb.CompactionRequest(
        revision: revision, physical: invocation.bool("physical"))
      let progress = ProgressLine(world, invocation.console)
      _ = try progress.whileWaiting(for: "compacting") { () throws(CommandFailure) in
        try context.request(
          Etcdserverpb.KVService.compact, request, Etcdserverpb.CompactionResponse.self)
      }
      invocation.console.print("compacted revision \(revision)\n")
    }
  }
}

/// Go's words for numbers that are none.
enum Numbers {
  static func problem(_ function: String, _ text: String, radix: Int) -> String {
    var digits = text[...]
    if function == "ParseInt", let sign = digits.first, sign == "-" || sign == "+" {
      digits.removeFirst()
    }
    let isNumber =
      !digits.isEmpty && digits.allSatisfy { $0.isASCII && Int(String($0), radix: radix) != nil }
    return GoNumber.refusal(isNumber ? .range : .syntax, of: text, by: function)
  }

  /// - Throws: in Go's words, with the exit code for wrong arguments.
  static func hexID(_ text: String) throws(CommandFailure) -> UInt64 {
    guard text.first != "+", text.first != "-", let id = UInt64(text, radix: 16) else {
      throw EtcdCtl.misuse(problem("ParseUint", text, radix: 16))
    }
    return id
  }
}
