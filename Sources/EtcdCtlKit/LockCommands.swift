import Bytes
import CommandLineTool
import EtcdAPI
import EtcdClient
import EventLoops
import Platform
import Protobuf

/// - Source: etcd `etcdctl/ctlv3/command/lock_command.go`, `elect_command.go`.
extension EtcdCtl {
  // MARK: lock

  static func lockCommand(_ world: World) -> Command {
    command(
      "lock <lockname> [exec-command arg1 arg2 ...]", "Acquires a named lock",
      [CommandFlag("ttl", .signed, default: "10", "timeout for session")]
    ) { (invocation) throws(CommandFailure) in
      guard let name = invocation.arguments.first else {
        throw misuse("lock takes a lock name argument and an optional command to execute")
      }
      let context = try Context(invocation, world)
      let words = Array(invocation.arguments.dropFirst())
      let (printer, loop) = (context.printer, context.loop)
      try inSession(ttl: invocation.signed("ttl"), context, lost: "session expired") {
        (session, interruption) in
        let lock = try await uninterrupted(interruption) {
          try await session.lock(argumentBytes(name))
        }
        if words.isEmpty {
          try await hold(lock, session, printer, interruption)
        } else {
          try await run(words, with: lock, world, loop)
        }
      }
    }
  }

  private static func hold(
    _ lock: EtcdClient.Lock, _ session: EtcdClient.Session, _ printer: Printer,
    _ interruption: Interruption
  ) async throws {
    let found = try await session.client.kv.get(.key(lock.key))
    guard !found.kvs.isEmpty else { throw CommandFailure("lock lost on init") }
    try printer.show(found)
    await interruption.wait()
    try await lock.unlock()
  }

  /// Runs a command, and ends it when the session is lost: others have the lock then.
  private static func run(
    _ words: [String], with lock: EtcdClient.Lock, _ world: World, _ loop: EventLoop
  ) async throws {
    let child = Child(loop: loop)
    let own = [
      "ETCD_LOCK_KEY": lock.key.string, "ETCD_LOCK_REV": "\(lock.header.revision)",
    ]
    let end = await withTaskCancellationHandler {
      await child.run(words, environment: own.merging(world.environment) { $1 })
    } onCancel: {
      child.signal(Signals.terminate)
    }
    // How the command ended counts before how the lock did.
    do { try await lock.unlock() } catch {
      if end.problem == nil { throw error }
    }
    if let problem = end.problem { throw CommandFailure(problem, exitCode: end.exitCode) }
  }

  // MARK: elect

  static func electCommand(_ world: World) -> Command {
    command(
      "elect <election-name> [proposal]", "Observes and participates in leader election",
      [CommandFlag("listen", shorthand: "l", .bool, "observation mode")]
    ) { (invocation) throws(CommandFailure) in
      let arguments = invocation.arguments
      guard arguments.count == 1 || arguments.count == 2 else {
        throw misuse(
          "elect takes one election name argument and an optional proposal argument")
      }
      let context = try Context(invocation, world)
      let listens = invocation.bool("listen")
      guard arguments.count == 2 || listens else {
        throw misuse("no proposal argument but -l not set")
      }
      guard arguments.count == 1 || !listens else { throw misuse("proposal given but -l is set") }
      let name = argumentBytes(arguments[0])
      if listens { return try observe(name, context) }
      let (proposal, printer) = (argumentBytes(arguments[1]), context.printer)
      try inSession(ttl: 60, context, lost: "elect: session expired") {
        (session, interruption) in
        let lead = try await uninterrupted(interruption) {
          try await session.client.election(name).campaign(in: session, proposal)
        }
        try printer.show(try await session.client.kv.get(.key(lead.key)))
        await interruption.wait()
        try await lead.resign()
      }
    }
  }

  private static func observe(_ name: Bytes, _ context: Context) throws(CommandFailure) {
    let (client, printer) = (context.client, context.printer)
    let interruption = Interruption(context.loop)
    try wait {
      let isInterrupted = try await first(interruption) {
        for try await leader in client.election(name).observe() {
          try printer.show(
            Etcdserverpb.RangeResponse(header: leader.header, kvs: leader.kvs))
        }
      }
      if !isInterrupted { throw CommandFailure("elect: observer lost") }
    }
  }

  // MARK: Sessions

  /// Runs `body` in a session of a lease; the first SIGINT or SIGTERM is told to it.
  private static func inSession(
    ttl: Int64, _ context: Context, lost: String,
    _ body: @escaping @Sendable (EtcdClient.Session, Interruption) async throws -> Void
  ) throws(CommandFailure) {
    let client = context.client
    let interruption = Interruption(context.loop)
    try wait {
      do {
        try await client.withSession(ttl: ttl > 0 ? ttl : 60) { session in
          try await body(session, interruption)
        }
      } catch let error as EtcdClientError {
        guard case .sessionLost = error else { throw error }
        throw CommandFailure(lost)
      }
    }
  }

  /// Runs `body` unless a signal comes first, which cancels it.
  private static func uninterrupted<R: Sendable>(
    _ interruption: Interruption, _ body: @escaping @Sendable () async throws -> R
  ) async throws -> R {
    try await withThrowingTaskGroup(of: R?.self) { group in
      group.addTask { try await body() }
      group.addTask {
        await interruption.wait()
        return nil
      }
      defer { group.cancelAll() }
      // A body that was cancelled gives back what it has before it fails.
      if let result = try await group.next() ?? nil { return result }
      group.cancelAll()
      if let result = try await group.next() ?? nil { return result }
      throw EtcdClientError.cancelled
    }
  }

  /// Runs `body` until a signal comes.
  /// - Returns: whether there was one.
  private static func first(
    _ interruption: Interruption, _ body: @escaping @Sendable () async throws -> Void
  ) async throws -> Bool {
    try await withThrowingTaskGroup(of: Bool.self) { group in
      group.addTask {
        try await body()
        return false
      }
      group.addTask {
        await interruption.wait()
        return true
      }
      defer { group.cancelAll() }
      return try await group.next() ?? false
    }
  }

  /// Waits for a task; what it throws is told as commands tell it.
  private static func wait(
    _ body: @escaping @Sendable () async throws -> Void
  ) throws(CommandFailure) {
    let failure = try? Context.wait { () async throws(ClientFailure) -> CommandFailure? in
      do { try await body() } catch let error as CommandFailure { return error } catch {
        let reason = (error as? EtcdClientError).map { ClientFailure($0).message }
        return CommandFailure(reason ?? "context canceled")
      }
      return nil
    }
    if let failure = failure ?? nil { throw failure }
  }
}

extension Printer {
  func show(_ reply: Etcdserverpb.RangeResponse) throws(CommandFailure) {
    try show(
      Views(
        simple: { simple(reply, &$0) }, json: { reply.goJSON }, fields: { $0.add(reply) },
        raw: reply.encoded()))
  }
}
