import Bolt
import CommandLineTool
import FileSystem
import GoText
import JSON
import MemberStorage

extension EtcdUtl {
  /// Moves a database between 3.5 and 3.6.
  /// - Source: etcd 3.6 `etcdutl/migrate_command.go`.
  static func migrateCommand(_ world: World) -> Command {
    var command = Command(
      "migrate",
      short:
        "Migrates schema of etcd data dir files to make them compatible with different etcd version"
    )
    var directory = CommandFlag("data-dir", .string, "Path to the etcd data dir")
    directory.isRequired = true
    var target = CommandFlag(
      "target-version", .string,
      "Target etcd version to migrate contents of data dir. Minimal value 3.5. Format \"X.Y\" for "
        + "example 3.6.")
    target.isRequired = true
    command.flags = [
      directory, target,
      CommandFlag(
        "force", .bool,
        "Ignore migration failure and forcefully override storage version. Not recommended."),
    ]
    command.run = { (invocation) throws(CommandFailure) in
      let target = try targetVersion(invocation.string("target-version"))
      let log = UtilityLog(console: invocation.console, now: world.now)
      let paths = MemberPaths(data: invocation.string("data-dir"))
      try DatabaseFile.mustExist(world.fileSystem, path: paths.database)
      do {
        let database = try BoltDatabase(world.fileSystem, path: paths.database)
        defer { database.close() }
        try DatabaseFile.check(database.read())
        try migrate(
          database, to: target, world, paths, force: invocation.bool("force"), log)
      } catch { throw CommandFailure("\(error)") }
    }
    return command
  }

  private static func targetVersion(_ text: String) throws(CommandFailure) -> StorageVersion {
    func refused(_ message: String) -> CommandFailure {
      CommandFailure(message, exitCode: CommandFailure.badArguments)
    }
    guard text.filter({ $0 == "." }).count == 1 else {
      throw refused("wrong target version format, expected \"X.Y\", got \(GoQuote.text(text))")
    }
    guard let version = StorageVersion(text) else {
      throw refused("failed to parse target version: Invalid Semantic Version")
    }
    guard version >= .release35 else {
      throw refused("target version \"\(version)\" not supported. Minimal \"3.5\"")
    }
    return version
  }

  private static func migrate(
    _ database: BoltDatabase, to target: StorageVersion, _ world: World, _ paths: MemberPaths,
    force: Bool, _ log: UtilityLog
  ) throws {
    let current: StorageVersion
    do throws(StorageError) { current = try StorageVersion.detect(database.read()) } catch {
      log.write(
        .error,
        "failed to detect storage version. Please make sure you are using data dir from etcd v3.5 "
          + "and older")
      throw error
    }
    guard current != target else {
      log.write(
        .info, "storage version up-to-date", [("storage-version", .string("\(current)"))])
      return
    }
    for version in [current, target] where version > .release36 || version < .release35 {
      throw StorageError(
        "cannot create migration plan: version \"\(version).0\" is not supported")
    }
    do throws(StorageError) { try checkLog(target, world, paths) } catch {
      guard force else { throw error }
      log.write(
        .info, "normal migrate failed, trying with force",
        [("error", .string(error.description))])
    }
    try target.write(to: database)
    log.write(
      .info, "updated storage version", [("new-storage-version", .string("\(target).0"))])
    if let left = try StorageVersion.marked(database.read()), left > target {
      log.write(
        .warn,
        "the cluster's version is newer, and etcd of the target version will not start with it: downgrade the "
          + "running cluster, or restore the database into a new one",
        [("cluster-version", .string("\(left)"))])
    }
  }

  /// The entries of the log must be known to the version that will read them.
  private static func checkLog(
    _ target: StorageVersion, _ world: World, _ paths: MemberPaths
  ) throws(StorageError) {
    let needed = try StorageVersion.needed(world.fileSystem, walDirectory: paths.wal)
    guard let needed, target < needed else { return }
    throw StorageError(
      "cannot downgrade storage, WAL contains newer entries, as the target version (\(target).0) is "
        + "lower than the version (\(needed).0) detected from WAL logs")
  }
}
