import Bytes
import CommandLineTool
import EtcdAPI
import JSON
import Protobuf

/// - Source: etcd `etcdctl/ctlv3/command/lease_command.go`.
extension EtcdCtl {
  static func leaseCommand(_ world: World) -> Command {
    var lease = Command("lease <subcommand>", short: "Lease related commands")
    lease.commands = [
      command("grant <ttl>", "Creates leases") { (invocation) throws(CommandFailure) in
        try grant(invocation, world)
      },
      command("revoke <leaseID>", "Revokes leases") { (invocation) throws(CommandFailure) in
        try revoke(invocation, world)
      },
      command(
        "timetolive <leaseID> [options]", "Get lease information",
        [CommandFlag("keys", .bool, "Get keys attached to this lease")]
      ) { (invocation) throws(CommandFailure) in try timeToLive(invocation, world) },
      command("list", "List all active leases") { (invocation) throws(CommandFailure) in
        try listLeases(invocation, world)
      },
      command(
        "keep-alive [options] <leaseID>", "Keeps leases alive (renew)",
        [
          CommandFlag(
            "once", .bool,
            "Resets the keep-alive time to its original value and cobrautl.Exits immediately")
        ]
      ) { (invocation) throws(CommandFailure) in try keepAlive(invocation, world) },
    ]
    return lease
  }

  private static func leaseID(
    _ invocation: Invocation, missing: String
  ) throws(CommandFailure) -> Int64 {
    guard invocation.arguments.count == 1 else { throw misuse(missing) }
    let text = invocation.arguments[0]
    guard let id = Int64(text, radix: 16) else {
      throw misuse(
        "bad lease ID arg (\(Numbers.problem("ParseInt", text, radix: 16))), expecting ID in Hex")
    }
    return id
  }

  /// A lease's id as `%016x` writes it.
  private static func hex(_ id: Int64) -> String {
    let digits = String(id, radix: 16)
    return String(repeating: "0", count: Swift.max(0, 16 - digits.count)) + digits
  }

  private static func grant(
    _ invocation: Invocation, _ world: World
  ) throws(CommandFailure) {
    guard invocation.arguments.count == 1 else {
      throw misuse("lease grant command needs TTL argument")
    }
    let text = invocation.arguments[0]
    guard let ttl = Int64(text) else {
      throw misuse("bad TTL (\(Numbers.problem("ParseInt", text, radix: 10)))")
    }
    let context = try Context(invocation, world)
    let answer: Session.Answer<Etcdserverpb.LeaseGrantResponse>
    do throws(ClientFailure) {
      answer = try context.call(
        Etcdserverpb.LeaseService.leaseGrant, Etcdserverpb.LeaseGrantRequest(ttl: ttl),
        Etcdserverpb.LeaseGrantResponse.self)
    } catch { throw CommandFailure("failed to grant lease (\(error.message))") }
    let reply = answer.message
    try context.printer.show(
      Views(
        simple: { $0.append("lease \(hex(reply.id)) granted with TTL(\(reply.ttl)s)\n") },
        json: {
          var object = GoObject()
          object.embed(reply.header?.goObject)
          object.always("ID", .integer(reply.id))
          object.always("TTL", .integer(reply.ttl))
          object.always("Error", .string(reply.error))
          return object.json
        },
        fields: { text in
          text.header(reply.header)
          text.plain("ID", reply.id)
          text.plain("TTL", reply.ttl)
        }, raw: reply.header?.encoded()))
  }

  private static func revoke(
    _ invocation: Invocation, _ world: World
  ) throws(CommandFailure) {
    let id = try leaseID(invocation, missing: "lease revoke command needs 1 argument")
    let context = try Context(invocation, world)
    let answer: Session.Answer<Etcdserverpb.LeaseRevokeResponse>
    do throws(ClientFailure) {
      answer = try context.call(
        Etcdserverpb.LeaseService.leaseRevoke, Etcdserverpb.LeaseRevokeRequest(id: id),
        Etcdserverpb.LeaseRevokeResponse.self)
    } catch { throw CommandFailure("failed to revoke lease (\(error.message))") }
    let header = answer.message.header
    try context.printer.show(
      Views(
        simple: { $0.append("lease \(hex(id)) revoked\n") },
        json: { GoObject(header: header).json }, fields: { $0.header(header) }))
  }

  private static func timeToLive(
    _ invocation: Invocation, _ world: World
  ) throws(CommandFailure) {
    let context = try Context(invocation, world)
    let id = try leaseID(
      invocation, missing: "lease timetolive command needs lease ID as argument")
    let withKeys = invocation.bool("keys")
    let answer = try connected { () throws(ClientFailure) in
      try context.call(
        Etcdserverpb.LeaseService.leaseTimeToLive,
        Etcdserverpb.LeaseTimeToLiveRequest(id: id, keys: withKeys),
        Etcdserverpb.LeaseTimeToLiveResponse.self)
    }
    let reply = answer.message
    try context.printer.show(
      Views(
        simple: { out in
          guard reply.grantedTTL != 0 || reply.ttl != -1 else {
            return out.append("lease \(hex(reply.id)) already expired\n")
          }
          out.append(
            "lease \(hex(reply.id)) granted with TTL(\(reply.grantedTTL)s), "
              + "remaining(\(reply.ttl)s)")
          if withKeys {
            out.append(", attached keys([")
            for (position, key) in reply.keys.enumerated() {
              if position > 0 { out.append(" ") }
              out.append(key)
            }
            out.append("])")
          }
          out.append("\n")
        },
        json: {
          var object = GoObject()
          object.embed(reply.header?.goObject)
          object.always("id", .integer(reply.id))
          object.always("ttl", .integer(reply.ttl))
          object.always("granted-ttl", .integer(reply.grantedTTL))
          let keys = reply.keys.map { JSONValue.string(Base64.standard.encode($0).string) }
          object.always("keys", keys.isEmpty ? .null : .array(keys))
          return object.json
        },
        fields: { text in
          text.header(reply.header)
          text.plain("ID", reply.id)
          text.plain("TTL", reply.ttl)
          text.plain("GrantedTTL", reply.grantedTTL)
          for key in reply.keys { text.quoted("Key", key) }
        }, raw: reply.header?.encoded()))
  }

  private static func listLeases(
    _ invocation: Invocation, _ world: World
  ) throws(CommandFailure) {
    let context = try Context(invocation, world)
    let answer = try connected { () throws(ClientFailure) in
      try context.call(
        Etcdserverpb.LeaseService.leaseLeases, Etcdserverpb.LeaseLeasesRequest(),
        Etcdserverpb.LeaseLeasesResponse.self)
    }
    let reply = answer.message
    try context.printer.show(
      Views(
        simple: { out in
          out.append("found \(reply.leases.count) leases\n")
          for lease in reply.leases { out.append(hex(lease.id) + "\n") }
        },
        json: {
          var object = GoObject()
          object.embed(reply.header?.goObject)
          object.always("leases", .array(reply.leases.map { ["id": .integer($0.id)] }))
          return object.json
        },
        fields: { text in
          text.header(reply.header)
          for lease in reply.leases { text.plain("ID", lease.id) }
        }, raw: reply.header?.encoded()))
  }

  /// A failure of these commands counts as one of the connection.
  private static func connected<R>(
    _ body: () throws(ClientFailure) -> R
  ) throws(CommandFailure) -> R {
    do throws(ClientFailure) { return try body() } catch {
      throw CommandFailure(error.message, exitCode: CommandFailure.badConnection)
    }
  }

  // MARK: keep-alive

  private static func keepAlive(
    _ invocation: Invocation, _ world: World
  ) throws(CommandFailure) {
    let id = try leaseID(
      invocation, missing: "lease keep-alive command needs lease ID as argument")
    let context = try Context(invocation, world)
    let isOnce = invocation.bool("once")
    // How long a lease lives of which nothing is known yet, for Go's client.
    var end = ContinuousClock.now + context.settings.dialTimeout + .seconds(1)
    while true {
      let reply =
        isOnce
        ? try connected { () throws(ClientFailure) in try renew(id, context, context.deadline) }
        : try renewPatiently(id, context, until: end)
      guard let reply, reply.ttl > 0 else {
        if isOnce {
          throw CommandFailure(
            EtcdError.leaseNotFound.message, exitCode: CommandFailure.badConnection)
        }
        if context.settings.format == .simple {
          invocation.console.print("lease \(hex(id)) expired or revoked.\n")
        }
        return
      }
      try show(reply, context)
      if isOnce { return }
      end = .now + .seconds(reply.ttl)
      // Go's client renews after a third of the time.
      let pause = renewalPause(ttl: reply.ttl)
      try connected { () throws(ClientFailure) in try sleep(pause) }
    }
  }

  /// A third of the time that a server says, which may be any number.
  static func renewalPause(ttl: Int64) -> Duration { .seconds(ttl) / 3 }

  /// A renewal that is tried again, whatever went wrong, while the lease may live.
  /// - Returns: `nil` when it can live no longer.
  /// - Source: etcd `client/v3/lease.go` recvKeepAliveLoop, deadlineLoop.
  private static func renewPatiently(
    _ id: Int64, _ context: Context, until end: ContinuousClock.Instant
  ) throws(CommandFailure) -> Etcdserverpb.LeaseKeepAliveResponse? {
    while true {
      do throws(ClientFailure) { return try renew(id, context, end) } catch {
        guard .now < end else { return nil }
      }
      let pause = Swift.min(.milliseconds(500), ContinuousClock.now.duration(to: end))
      try connected { () throws(ClientFailure) in try sleep(pause) }
    }
  }

  private static func sleep(_ time: Duration) throws(ClientFailure) {
    try Context.wait { () async throws(ClientFailure) in
      do { try await Task.sleep(for: time) } catch { throw Session.failure(error) }
    }
  }

  private static func renew(
    _ id: Int64, _ context: Context, _ deadline: ContinuousClock.Instant
  ) throws(ClientFailure) -> Etcdserverpb.LeaseKeepAliveResponse {
    let session = context.session
    return try Context.wait { () async throws(ClientFailure) in
      try await session.renew(id, deadline: deadline)
    }
  }

  private static func show(
    _ reply: Etcdserverpb.LeaseKeepAliveResponse, _ context: Context
  ) throws(CommandFailure) {
    try context.printer.show(
      Views(
        simple: { $0.append("lease \(hex(reply.id)) keepalived with TTL(\(reply.ttl))\n") },
        json: {
          var object = GoObject()
          object.embed(reply.header?.goObject)
          object.always("ID", .integer(reply.id))
          object.always("TTL", .integer(reply.ttl))
          return object.json
        },
        fields: { text in
          text.header(reply.header)
          text.plain("ID", reply.id)
          text.plain("TTL", reply.ttl)
        }, raw: reply.header?.encoded()))
  }
}
