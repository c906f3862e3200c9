import Bytes
import CommandLineTool
import EtcdAPI
import Protobuf

extension EtcdCtl {
  static let deleteUse = "del [options] <key> [range_end]"

  /// The help shows what 3.5.1 had; this one came with a later 3.5.
  private static let deletesRange: CommandFlag = {
    var flag = CommandFlag("range", .bool, "delete range of keys")
    flag.isHidden = true
    return flag
  }()

  static let deleteFlags: [CommandFlag] = [
    deletesRange,
    CommandFlag("prefix", .bool, "delete keys with matching prefix"),
    CommandFlag("prev-kv", .bool, "return deleted key-value pairs"),
    CommandFlag(
      "from-key", .bool,
      "delete keys that are greater than or equal to the given key using byte compare"),
  ]

  static func deleteCommand(_ world: World) -> Command {
    command(
      deleteUse,
      "Removes the specified key or range of keys [key, range_end)", deleteFlags
    ) { (invocation) throws(CommandFailure) in
      let request = try deleteRequest(invocation)
      let context = try Context(invocation, world)
      let answer = try context.request(
        Etcdserverpb.KVService.deleteRange, request, Etcdserverpb.DeleteRangeResponse.self)
      let reply = answer.message
      try context.printer.show(
        Views(
          simple: { context.printer.simple(reply, &$0) }, json: { reply.goJSON },
          fields: { $0.add(reply) }, raw: answer.raw))
    }
  }

  static func deleteRequest(
    _ invocation: Invocation
  ) throws(CommandFailure) -> Etcdserverpb.DeleteRangeRequest {
    guard let key = invocation.arguments.first, invocation.arguments.count <= 2 else {
      throw misuse(
        "del command needs one argument as key and an optional argument as range_end")
    }
    try refuseBoth(invocation, "prefix", "from-key")
    var request = Etcdserverpb.DeleteRangeRequest(key: argumentBytes(key))
    try setRange(invocation, &request.key, &request.rangeEnd)
    if invocation.arguments.count > 1, !invocation.bool("range") {
      invocation.console.printError(
        "In etcd v3.6, the operation will be suspended for a few seconds to provide the user time "
          + "to verify range.\n")
    }
    request.prevKv = invocation.bool("prev-kv")
    return request
  }
}
