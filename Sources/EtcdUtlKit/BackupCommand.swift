import CommandLineTool
import FileSystem
import JSON
import Member
import MemberStorage

extension EtcdUtl {
  /// - Source: etcd 3.5 `etcdutl/backup_command.go`.
  static func backupCommand(_ world: World) -> Command {
    var command = Command("backup", short: "[legacy] offline backup of etcd directory")
    var source = CommandFlag("data-dir", .string, "Path to the etcd data dir")
    source.isRequired = true
    var target = CommandFlag("backup-dir", .string, "Path to the backup dir")
    target.isRequired = true
    command.flags = [
      source, target,
      CommandFlag("wal-dir", .string, "Path to the etcd wal dir"),
      CommandFlag("backup-wal-dir", .string, "Path to the backup wal dir"),
      CommandFlag("with-v3", .bool, default: "true", "Backup v3 backend data"),
    ]
    command.run = { (invocation) throws(CommandFailure) in
      try backUp(
        world, invocation.console,
        BackupPaths(
          dataDirectory: invocation.string("data-dir"), walDirectory: invocation.string("wal-dir"),
          backupDirectory: invocation.string("backup-dir"),
          backupWALDirectory: invocation.string("backup-wal-dir")),
        withV3: invocation.bool("with-v3"))
    }
    return command
  }

  /// Where a backup comes from, and where it goes.
  public struct BackupPaths: Sendable {
    let dataDirectory: String
    let walDirectory: String
    let backupDirectory: String
    let backupWALDirectory: String

    /// - Parameters:
    ///   - walDirectory: empty for the one inside of `dataDirectory`.
    ///   - backupWALDirectory: empty for the one inside of `backupDirectory`.
    public init(
      dataDirectory: String, walDirectory: String, backupDirectory: String,
      backupWALDirectory: String
    ) {
      self.dataDirectory = dataDirectory
      self.walDirectory = walDirectory
      self.backupDirectory = backupDirectory
      self.backupWALDirectory = backupWALDirectory
    }
  }

  /// Backs up the data of a member that does not run.
  /// - Parameter withV3: whether the keys of the v3 API go along.
  /// - Throws: exit code 1; the log says why.
  public static func backUp(
    _ world: World, _ console: Console, _ paths: BackupPaths, withV3: Bool
  ) throws(CommandFailure) {
    let log = UtilityLog(console: console, now: world.now)
    var ids = RequestIDs(start: world.random())
    let backup = MemberBackup(
      world.fileSystem, dataDirectory: paths.dataDirectory, walDirectory: paths.walDirectory,
      backupDirectory: paths.backupDirectory, backupWALDirectory: paths.backupWALDirectory,
      withV3: withV3, memberID: ids.next().rawValue)
    do throws(MemberBackup.Failure) {
      try backup.run(tag: world.random(), pause: world.pause) { describe($0, backup, log) }
    } catch {
      var fields: [(String, JSONValue)] = []
      if let detail = error.detail { fields.append((detail.name, .string(detail.value))) }
      if !error.reason.isEmpty { fields.append(("error", .string(error.reason))) }
      log.write(.fatal, error.step, fields)
      throw CommandFailure.told()
    }
  }

  private static func describe(
    _ note: MemberBackup.Note, _ backup: MemberBackup, _ log: UtilityLog
  ) {
    switch note {
    case .snapshotRecordMissing(let index):
      log.write(
        .warn, "failed to find the match snapshot record",
        [
          ("walsnap", ["index": .integer(index)]), ("srcWAL", .string(backup.walDirectory)),
        ])
      log.write(.warn, "etcdctl will add it back. Start auto fixing...")
    case .membershipTrimmed:
      log.write(.info, "Trimming membership information from the backend...")
    case .confChangeIgnored: log.write(.info, "ignoring EntryConfChange raft entry")
    case .attributesIgnored(let path):
      log.write(.info, "ignoring member attribute update on", [("v2Req.Path", .string(path))])
    case .attributeRequestIgnored: log.write(.info, "ignoring cluster_member_attr_set")
    case .v3EntryIgnored: log.write(.info, "ignoring v3 raft entry")
    }
  }
}
