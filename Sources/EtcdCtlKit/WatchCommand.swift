import Bytes
import Calls
import CommandLineTool
import EtcdAPI
import EtcdClient
import EventLoops
import GoText
import Protobuf
import Synchronization

/// - Source: etcd `etcdctl/ctlv3/command/watch_command.go`.
extension EtcdCtl {
  static let watchFlags: [CommandFlag] = [
    CommandFlag("interactive", shorthand: "i", .bool, "Interactive mode"),
    CommandFlag("prefix", .bool, "Watch on a prefix if prefix is set"),
    CommandFlag("rev", .signed, default: "0", "Revision to start watching"),
    CommandFlag(
      "prev-kv", .bool, "get the previous key-value pair before the event happens"),
    CommandFlag(
      "progress-notify", .bool, "get periodic watch progress notification from server"),
  ]
  private static let watchUse =
    "watch [options] [key or prefix] [range_end] [--] [exec-command arg1 arg2 ...]"

  static func watchCommand(_ world: World) -> Command {
    command(watchUse, "Watches events stream on keys or prefixes", watchFlags) {
      (invocation) throws(CommandFailure) in
      let variables = try WatchWords.Variables(world.environment)
      guard !invocation.bool("interactive") else {
        return try watchInteractively(invocation, world, variables)
      }
      let words = try WatchWords(
        invocation.arguments, dash: invocation.argumentsAtDash, variables)
      let context = try Context(invocation, world)
      let watch = WatchShow(
        try watchFeed(words, invocation, context.session, tellsCreation: false), words.command,
        context)
      let failure = withExtendedLifetime(context) {
        try? Context.wait { () async throws(ClientFailure) in await watch.run() }
      }
      if let failure = failure ?? nil { throw failure }
      throw CommandFailure(
        "watch is canceled by the server", exitCode: CommandFailure.interrupted)
    }
  }

  /// Reads lines of `watch …` and `progress`; watches go on beside each other.
  private static func watchInteractively(
    _ invocation: Invocation, _ world: World, _ variables: WatchWords.Variables
  ) throws(CommandFailure) {
    let context = try Context(invocation, world)
    let shape = command(watchUse, "", watchFlags) { (_) throws(CommandFailure) in }
    var input = Input(world.read)
    var feeds: [WatchFeed] = []
    func invalid(_ line: String, _ why: String) {
      invocation.console.printError("Invalid command\(line) (\(why))\n")
    }
    while let line = input.line() {
      let words = try TxnWords.split(line)
      switch words.first {
      case nil: invalid(": \(line)", "watch and progress supported")
      case "progress":
        for feed in feeds {
          _ = try? Context.wait { () async throws(ClientFailure) in await progress(of: feed) }
        }
      case "watch":
        guard words.count > 1 || !variables.key.isEmpty else {
          invalid(" \(line)", "command type or key is not provided")
          continue
        }
        let one: Invocation
        do throws(CommandFailure) {
          one = try Invocation(
            of: shape, words: Array(words.dropFirst()), console: invocation.console)
        } catch { throw misuse(error.message) }
        let parsed = try WatchWords(one.arguments, dash: one.argumentsAtDash, variables)
        do throws(CommandFailure) {
          let feed = try watchFeed(parsed, one, context.session, tellsCreation: true)
          feeds.append(feed)
          begin(WatchShow(feed, parsed.command, context), world)
        } catch { invalid(" \(line)", error.message) }
      default: invalid(" \(line)", "only support watch")
      }
    }
    throw CommandFailure(
      "error reading watch request line: EOF", exitCode: CommandFailure.invalidInput)
  }

  private static func progress(of feed: WatchFeed) async {
    // A stream that is broken is begun again by who reads it, and has nothing to tell before.
    _ = try? await feed.requestProgress()
  }

  /// Starts a watch and returns once it exists or has ended: what the next line does is seen by it.
  private static func begin(_ watch: WatchShow, _ world: World) {
    let created = Gate()
    Task {
      if let failure = await watch.run(created: { created.open() }), failure.isTold {
        world.exit(failure.exitCode)
      }
      created.open()
    }
    created.wait()
  }

  private static func watchFeed(
    _ words: WatchWords, _ invocation: Invocation, _ session: Session, tellsCreation: Bool
  ) throws(CommandFailure) -> WatchFeed {
    guard let key = words.keys.first else { throw WatchWords.tooFew }
    var keys = KeyRange.key(argumentBytes(key))
    if words.keys.count == 2 {
      guard !invocation.bool("prefix") else {
        throw misuse("`range_end` and `--prefix` are mutually exclusive")
      }
      keys = .range(keys.key, argumentBytes(words.keys[1]))
    }
    if invocation.bool("prefix") { keys = .prefix(keys.key) }
    return WatchFeed(
      session.client,
      Etcdserverpb.WatchCreateRequest(
        key: keys.key, rangeEnd: keys.end, startRevision: invocation.signed("rev"),
        progressNotify: invocation.bool("progress-notify"), prevKv: invocation.bool("prev-kv")),
      .init(requiresLeader: true, endsWithoutLeader: true, tellsCreation: tellsCreation))
  }
}

/// Shows what a watch tells, and runs a command for each event.
private struct WatchShow: Sendable {
  private let feed: WatchFeed
  private let words: [String]
  private let printer: Printer
  private let console: Console
  private let environment: [String: String]
  private let loop: EventLoop
  /// Columns of `-w table`, which official releases refuse.
  private let table = WatchTableState()

  init(_ feed: WatchFeed, _ words: [String], _ context: Context) {
    self.feed = feed
    self.words = words
    printer = context.printer
    console = context.console
    environment = context.world.environment
    loop = context.loop
  }

  /// Runs until the watch ends.
  /// - Returns: why that is a failure of its own.
  func run(created: () -> Void = {}) async -> CommandFailure? {
    var isCreated = false
    do throws(CommandFailure) {
      while true {
        let step: WatchFeed.Step?
        do throws(GRPCStatus) { step = try await feed.next() } catch {
          // The process is about to end.
          if feed.isClosed { return nil }
          try end(Etcdserverpb.WatchResponse(canceled: true), ClientFailure(error).message)
          return nil
        }
        switch step {
        case nil: return nil
        case .created:
          isCreated = true
          created()
        case .update(let response):
          isCreated = true
          try await show(response)
        case .ended(let response):
          if response.compactRevision != 0 {
            try end(response, EtcdError.compacted.message)
          } else if !isCreated, !response.cancelReason.isEmpty {
            try end(Etcdserverpb.WatchResponse(canceled: true), response.cancelReason)
          }
          return nil
        }
      }
    } catch { return error }
  }

  private func show(_ response: Etcdserverpb.WatchResponse) async throws(CommandFailure) {
    if response.events.isEmpty {
      console.print("progress notify: \(response.header?.revision ?? 0)\n")
    }
    try display(response)
    guard !words.isEmpty else { return }
    for event in response.events {
      let child = Child(loop: loop)
      let end = await child.run(
        words,
        environment: environment.merging(
          Self.variables(event, response.header?.revision ?? 0)
        ) { $1 })
      guard let problem = end.problem else { continue }
      console.printError("command \(GoQuote.list(words)) error (\(problem))\n")
      throw .told()
    }
  }

  private func display(_ response: Etcdserverpb.WatchResponse) throws(CommandFailure) {
    if printer.format == .table {
      return console.print(table.state.withLock { $0.lines(response) })
    }
    var raw = response
    raw.watchID = 0
    raw.cancelReason = ""
    try printer.show(
      Views(
        simple: { printer.simple(response, &$0) }, json: { response.goJSON },
        fields: { $0.add(response) }, raw: raw.encoded()))
  }

  private func end(
    _ response: Etcdserverpb.WatchResponse, _ reason: String
  ) throws(CommandFailure) {
    console.printError("watch was canceled (\(reason))\n")
    try display(response)
  }

  private static func variables(_ event: Mvccpb.Event, _ revision: Int64) -> [String: String] {
    [
      "ETCD_WATCH_REVISION": "\(revision)",
      "ETCD_WATCH_EVENT_TYPE": GoQuote.text(event.type.goName),
      "ETCD_WATCH_KEY": GoQuote.text(event.kv?.key ?? Bytes()),
      "ETCD_WATCH_VALUE": GoQuote.text(event.kv?.value ?? Bytes()),
    ]
  }
}

/// Columns that the watch of one task fills.
private final class WatchTableState: Sendable {
  let state = Mutex(WatchTable())
}
