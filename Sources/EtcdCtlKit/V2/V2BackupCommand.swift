import CommandLineTool
import EtcdUtlKit

/// - Source: etcd 3.5 `etcdctl/ctlv2/command/backup_command.go`.
extension EtcdCtl {
  static let v2BackupCommand = V2Command(
    name: "backup", usage: "--data-dir=... --backup-dir={output}",
    usageText: "[deprecated] offline backup an etcd directory.",
    description: "Performs an offline backup of etcd directory.\n\n"
      + "Moved to `./etcdutl backup` and going to be decomissioned in v3.5\n\n"
      + "The recommended (online) backup command is: `./etcdctl snapshot save ...`.\n\n",
    flags: [
      V2Flag("data-dir", .string, "Path to the etcd data dir"),
      V2Flag("wal-dir", .string, "Path to the etcd wal dir"),
      V2Flag("backup-dir", .string, "Path to the backup dir"),
      V2Flag("backup-wal-dir", .string, "Path to the backup wal dir"),
      V2Flag("with-v3", .bool, "Backup v3 backend data"),
    ],
    run: { (invocation) throws(CommandFailure) in
      let words = invocation.words
      try EtcdUtl.backUp(
        invocation.world.files, invocation.console,
        EtcdUtl.BackupPaths(
          dataDirectory: words.string("data-dir"), walDirectory: words.string("wal-dir"),
          backupDirectory: words.string("backup-dir"),
          backupWALDirectory: words.string("backup-wal-dir")),
        withV3: words.bool("with-v3"))
    })
}
