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
      let log = UtilityLog(console: invocation.console, now: world.now)
      var ids = RequestIDs(milliseconds: UInt64(clamping: world.now()) &* 1000)
      let backup = MemberBackup(
        world.fileSystem, dataDirectory: invocation.string("data-dir"),
        walDirectory: invocation.string("wal-dir"),
        backupDirectory: invocation.string("backup-dir"),
        backupWALDirectory: invocation.string("backup-wal-dir"),
        withV3: invocation.bool("with-v3"), memberID: ids.next().rawValue)
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
    return command
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
