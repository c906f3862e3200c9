import Bytes
import CommandLineTool
import EtcdAPI
import GoText
import JSON
import Protobuf

extension EtcdCtl {
  private static let clusterFlag = CommandFlag(
    "cluster", .bool, "use all endpoints from the cluster member list")

  /// - Source: etcd `etcdctl/ctlv3/command/ep_command.go`.
  static func endpointCommand(_ world: World) -> Command {
    var endpoint = Command("endpoint <subcommand>", short: "Endpoint related commands")
    endpoint.persistentFlags = [clusterFlag]
    var status = command(
      "status", "Prints out the status of endpoints specified in `--endpoints` flag"
    ) { (invocation) throws(CommandFailure) in try showStatus(invocation, world) }
    status.long = """
      When --write-out is set to simple, this command prints out comma-separated status lists for \
      each endpoint.
      The items in the lists are endpoint, ID, version, db size, is leader, is learner, raft term, \
      raft index, raft applied index, errors.
      """
    endpoint.commands = [
      command(
        "health", "Checks the healthiness of endpoints specified in `--endpoints` flag"
      ) { (invocation) throws(CommandFailure) in try showHealth(invocation, world) },
      status,
      command(
        "hashkv", "Prints the KV history hash for each endpoint in --endpoints",
        [CommandFlag("rev", .signed, "maximum revision to hash (default: all revisions)")]
      ) { (invocation) throws(CommandFailure) in try showHashes(invocation, world) },
    ]
    return endpoint
  }

  /// The endpoints of the command line, or those of all members.
  private static func endpoints(
    _ invocation: Invocation, _ context: Context
  ) throws(CommandFailure) -> [String] {
    guard context.settings.isClusterMeant else { return context.settings.endpoints }
    do throws(ClientFailure) {
      let list = try context.call(
        Etcdserverpb.ClusterService.memberList,
        Etcdserverpb.MemberListRequest(linearizable: true), Etcdserverpb.MemberListResponse.self)
      return list.message.members.flatMap(\.clientURLs)
    } catch {
      throw CommandFailure(
        "failed to fetch endpoints from etcd cluster member list: \(error.message)")
    }
  }

  // MARK: health

  private struct Health: Sendable {
    let endpoint: String
    var isHealthy = false
    var took = ""
    var error = ""
  }

  private static func showHealth(
    _ invocation: Invocation, _ world: World
  ) throws(CommandFailure) {
    let context = try Context(invocation, world)
    let endpoints = try endpoints(invocation, context)
    let settings = context.settings
    let loop = context.loop
    // Go's name for these.
    var named = context.log
    named.name = "client"
    let log = named
    let found = try? Context.wait { () async throws(ClientFailure) -> [Health] in
      await withTaskGroup(of: Health.self) { group in
        for endpoint in endpoints {
          group.addTask {
            var settings = settings
            settings.endpoints = [endpoint]
            let session = Session(settings, loop: loop, log: log)
            defer { session.close() }
            return await health(session, endpoint)
          }
        }
        return await group.reduce(into: []) { $0.append($1) }
      }
    }
    let list = found ?? []
    for one in list where context.settings.format == .simple && !one.error.isEmpty {
      invocation.console.printError(
        "\(one.endpoint) is unhealthy: failed to commit proposal: \(one.error)\n")
    }
    try context.printer.show(healthViews(list))
    guard list.allSatisfy({ $0.error.isEmpty }) else {
      throw CommandFailure("unhealthy cluster")
    }
  }

  private static func health(_ session: Session, _ endpoint: String) async -> Health {
    var health = Health(endpoint: endpoint)
    let settings = session.settings
    do throws(ClientFailure) {
      try await session.signIn(deadline: .now + settings.dialTimeout)
    } catch {
      health.error = error.message
      return health
    }
    let start = ContinuousClock.now
    let deadline = start + settings.commandTimeout
    do throws(ClientFailure) {
      _ = try await session.call(
        Etcdserverpb.KVService.range, Etcdserverpb.RangeRequest(key: "health"),
        Etcdserverpb.RangeResponse.self, deadline: deadline)
      health.isHealthy = true
    } catch {
      // A refusal has gone through consensus as well.
      health.isHealthy = error.message == EtcdError.permissionDenied.message
      if !health.isHealthy { health.error = error.message }
    }
    health.took = start.duration(to: .now).goDescription
    guard health.isHealthy else { return health }
    do throws(ClientFailure) {
      let answer = try await session.call(
        Etcdserverpb.MaintenanceService.alarm, Etcdserverpb.AlarmRequest(action: .get),
        Etcdserverpb.AlarmResponse.self, deadline: deadline)
      let alarms = answer.message.alarms
      guard !alarms.isEmpty else { return health }
      health.isHealthy = false
      health.error =
        "Active Alarm(s): "
        + alarms.map { ($0.alarm.protoName ?? "UNKNOWN") + " " }.joined()
    } catch {
      health.isHealthy = false
      health.error = "Unable to fetch the alarm list"
    }
    return health
  }

  private static func healthViews(_ list: [Health]) -> Views {
    Views(
      simple: { out in
        for one in list where one.error.isEmpty {
          out.append(
            "\(one.endpoint) is healthy: successfully committed proposal: took = \(one.took)\n")
        }
      },
      json: {
        .array(
          list.map { one in
            var object = GoObject()
            object.always("endpoint", .string(one.endpoint))
            object.always("health", .bool(one.isHealthy))
            object.always("took", .string(one.took))
            object.text("error", one.error)
            return object.json
          })
      },
      fields: { text in
        for one in list {
          text.quoted("Endpoint", one.endpoint)
          text.plain("Health", one.isHealthy)
          text.plain("Took", one.took)
          text.plain("Error", one.error)
          text.line()
        }
      },
      table: (
        ["endpoint", "health", "took", "error"],
        list.map { [$0.endpoint, "\($0.isHealthy)", $0.took, $0.error] }
      ))
  }

  // MARK: status and hashkv

  /// Asks each endpoint; those that do not answer are told on standard error.
  private static func ask<Reply: ProtobufMessage>(
    _ invocation: Invocation, _ context: Context, _ what: String, _ method: MethodDescriptor,
    _ request: some ProtobufMessage, _ type: Reply.Type
  ) throws(CommandFailure) -> (replies: [(endpoint: String, reply: Reply)], last: ClientFailure?) {
    var replies: [(String, Reply)] = []
    var last: ClientFailure?
    for endpoint in try endpoints(invocation, context) {
      do throws(ClientFailure) {
        let session = try context.session(to: endpoint)
        defer { session.close() }
        let answer = try context.call(
          method, request, type, on: session)
        replies.append((endpoint, answer.message))
      } catch {
        last = error
        invocation.console.printError(
          "Failed to get the \(what) of endpoint \(endpoint) (\(error.message))\n")
      }
    }
    return (replies, last)
  }

  private static func showStatus(
    _ invocation: Invocation, _ world: World
  ) throws(CommandFailure) {
    let context = try Context(invocation, world)
    let (list, failure) = try ask(
      invocation, context, "status", Etcdserverpb.MaintenanceService.status,
      Etcdserverpb.StatusRequest(), Etcdserverpb.StatusResponse.self)
    let rows = list.map { endpoint, reply in
      [
        endpoint, String(reply.header?.memberID ?? 0, radix: 16), reply.version,
        HumanSize.text(reply.dbSize), "\(reply.leader == reply.header?.memberID)",
        "\(reply.isLearner)", "\(reply.raftTerm)", "\(reply.raftIndex)",
        "\(reply.raftAppliedIndex)", reply.errors.joined(separator: ", "),
      ]
    }
    try context.printer.show(
      Views(
        simple: { out in for row in rows { out.append(row.joined(separator: ", ") + "\n") } },
        json: { .array(list.map { ["Endpoint": .string($0), "Status": $1.goJSON] }) },
        fields: { text in for (endpoint, reply) in list { text.add(reply, endpoint) } },
        table: (
          [
            "endpoint", "ID", "version", "db size", "is leader", "is learner", "raft term",
            "raft index", "raft applied index", "errors",
          ], rows
        )))
    if failure != nil { throw .told() }
  }

  private static func showHashes(
    _ invocation: Invocation, _ world: World
  ) throws(CommandFailure) {
    let context = try Context(invocation, world)
    let (list, failure) = try ask(
      invocation, context, "hash", Etcdserverpb.MaintenanceService.hashKV,
      Etcdserverpb.HashKVRequest(revision: invocation.signed("rev")),
      Etcdserverpb.HashKVResponse.self)
    let rows = list.map { [$0.endpoint, "\($0.reply.hash)"] }
    try context.printer.show(
      Views(
        simple: { out in for row in rows { out.append(row.joined(separator: ", ") + "\n") } },
        json: { .array(list.map { ["Endpoint": .string($0), "HashKV": $1.goJSON] }) },
        fields: { text in
          for (endpoint, reply) in list {
            text.header(reply.header)
            text.quoted("Endpoint", endpoint)
            text.plain("Hash", reply.hash)
            text.line()
          }
        },
        table: (["endpoint", "hash"], rows)))
    if let failure { throw CommandFailure(failure.message) }
  }

  // MARK: defrag

  /// - Source: etcd `etcdctl/ctlv3/command/defrag_command.go`.
  static func defragCommand(_ world: World) -> Command {
    var defrag = command(
      "defrag", "Defragments the storage of the etcd members with given endpoints",
      [
        CommandFlag(
          "data-dir", .string,
          "Optional. If present, defragments a data directory not in use by etcd.")
      ]
    ) { (invocation) throws(CommandFailure) in
      let directory = invocation.string("data-dir")
      if !directory.isEmpty {
        invocation.console.printError(
          "Use `etcdutl defrag` instead. The --data-dir is going to be decomissioned in v3.6.\n\n"
        )
        try defragmentFiles(directory, world, invocation.console)
      }
      let context = try Context(invocation, world)
      var isGood = true
      for endpoint in try endpoints(invocation, context) {
        do throws(ClientFailure) {
          let session = try context.session(to: endpoint)
          defer { session.close() }
          let progress = ProgressLine(world, invocation.console)
          _ = try progress.whileWaiting(for: "defragmenting \(endpoint)") {
            () throws(ClientFailure) in
            try context.call(
              Etcdserverpb.MaintenanceService.defragment, Etcdserverpb.DefragmentRequest(),
              Etcdserverpb.DefragmentResponse.self, on: session)
          }
          invocation.console.print("Finished defragmenting etcd member[\(endpoint)]\n")
        } catch {
          isGood = false
          invocation.console.printError(
            "Failed to defragment etcd member[\(endpoint)] (\(error.message))\n")
        }
      }
      if !isGood { throw .told() }
    }
    defrag.persistentFlags = [clusterFlag]
    return defrag
  }
}

extension FieldsText {
  fileprivate mutating func add(_ reply: Etcdserverpb.StatusResponse, _ endpoint: String) {
    header(reply.header)
    quoted("Version", reply.version)
    plain("DBSize", reply.dbSize)
    plain("Leader", reply.leader)
    plain("IsLearner", reply.isLearner)
    plain("RaftIndex", reply.raftIndex)
    plain("RaftTerm", reply.raftTerm)
    plain("RaftAppliedIndex", reply.raftAppliedIndex)
    plain("Errors", "[\(reply.errors.joined(separator: " "))]")
    quoted("Endpoint", endpoint)
    line()
  }
}
