import Bolt
import CommandLineTool
import FileSystem
import GoText
import JSON
import MemberStorage

extension EtcdUtl {
  /// - Source: etcd `etcdutl/defrag_command.go`.
  static func defragCommand(_ world: World) -> Command {
    var command = Command("defrag", short: "Defragments the storage of the etcd")
    var directory = CommandFlag(
      "data-dir", .string, "Required. Defragments a data directory not in use by etcd.")
    directory.isRequired = true
    command.flags = [directory]
    command.run = { (invocation) throws(CommandFailure) in
      let directory = invocation.string("data-dir")
      do throws(CommandFailure) {
        try defragment(world, dataDirectory: directory, invocation.console)
      } catch {
        throw CommandFailure(
          "Failed to defragment etcd data[\(directory)] (\(error.message))",
          exitCode: error.exitCode)
      }
    }
    return command
  }

  /// What `defrag --data-dir` does, here and in etcdctl.
  package static func defragment(
    _ world: World, dataDirectory: String, _ console: Console
  ) throws(CommandFailure) {
    try defragment(world, MemberPaths(data: dataDirectory), console)
  }

  private static func defragment(
    _ world: World, _ paths: MemberPaths, _ console: Console
  ) throws(CommandFailure) {
    let log = UtilityLog(console: console, now: world.now)
    let before = try sizes(world, paths, console)
    log.write(.info, "defragmenting", [("path", .string(paths.database))] + fields(before))
    do throws(BoltError) {
      try waitingForLock(world, paths.database, console) { () throws(BoltError) in
        try BackendStore.defragment(
          world.fileSystem, directory: paths.snap, options: BoltOptions())
      }
    } catch { throw CommandFailure(error.description) }
    let after = try sizes(world, paths, console)
    log.write(
      .info, "finished defragmenting directory",
      [
        ("path", .string(paths.database)),
        ("current-db-size-bytes-diff", .integer(after.total - before.total)),
        ("current-db-size-in-use-bytes-diff", .integer(after.inUse - before.inUse)),
      ] + fields(after))
  }

  private static func fields(
    _ sizes: (total: Int, inUse: Int)
  ) -> [(String, JSONValue)] {
    [
      ("current-db-size-bytes", .integer(sizes.total)),
      ("current-db-size", .string(HumanSize.text(sizes.total))),
      ("current-db-size-in-use-bytes", .integer(sizes.inUse)),
      ("current-db-size-in-use", .string(HumanSize.text(sizes.inUse))),
    ]
  }

  private static func sizes(
    _ world: World, _ paths: MemberPaths, _ console: Console
  ) throws(CommandFailure) -> (total: Int, inUse: Int) {
    try DatabaseFile.mustExist(world.fileSystem, path: paths.database)
    var options = BoltOptions()
    options.isReadOnly = true
    do throws(BoltError) {
      let database = try waitingForLock(world, paths.database, console) { () throws(BoltError) in
        try BoltDatabase(world.fileSystem, path: paths.database, options: options)
      }
      defer { database.close() }
      let transaction = database.read()
      try DatabaseFile.check(transaction)
      let survey = try transaction.survey()
      let free = survey.unreachable.count * transaction.pageSize
      return (transaction.size, transaction.size - free)
    } catch { throw CommandFailure(error.description) }
  }

  /// Does something with a database; while a member runs on it, says so and waits.
  static func waitingForLock<R>(
    _ world: World, _ path: String, _ console: Console, _ body: () throws(BoltError) -> R
  ) throws(BoltError) -> R {
    var isTold = false
    while true {
      do throws(BoltError) { return try body() } catch {
        guard error.reason == .locked else { throw error }
        if !isTold {
          console.printError(
            "waiting for etcd to close and release its lock on \(GoQuote.text(path)). "
              + "To defrag a running etcd instance, omit --data-dir.\n")
          isTold = true
        }
        world.pause()
      }
    }
  }
}

/// Where a member has its files.
struct MemberPaths {
  private let member: String

  init(data: String) {
    var data = data[...]
    while data.count > 1, data.hasSuffix("/") { data.removeLast() }
    member = data.isEmpty ? "member" : data == "/" ? "/member" : data + "/member"
  }

  var snap: String { member + "/snap" }
  var database: String { snap + "/db" }
  var wal: String { member + "/wal" }
}
