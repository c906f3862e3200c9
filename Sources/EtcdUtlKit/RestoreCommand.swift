import Bolt
import CommandLineTool
import EtcdConfig
import FileSystem
import GoText
import JSON
import MemberStorage
import Membership

extension EtcdUtl {
  /// - Source: etcd 3.5 `etcdutl/snapshot_command.go`.
  static func restoreCommand(_ world: World) -> Command {
    var command = Command(
      "restore <filename> --data-dir {output dir} [options]",
      short: "Restores an etcd member snapshot to an etcd directory")
    command.flags = restoreFlags
    command.run = { (invocation) throws(CommandFailure) in try restore(world, invocation) }
    return command
  }

  /// What `snapshot restore` does, here and, with fewer flags, in etcdctl.
  package static func restore(
    _ world: World, _ invocation: Invocation
  ) throws(CommandFailure) {
    guard invocation.arguments.count == 1 else {
      throw CommandFailure(
        "snapshot restore requires exactly one argument", exitCode: CommandFailure.badArguments)
    }
    let bump = invocation.has("bump-revision") ? invocation.unsigned("bump-revision") : 0
    let isMarked = invocation.has("mark-compacted") && invocation.bool("mark-compacted")
    guard (bump > 0) == isMarked else {
      throw CommandFailure(
        "--mark-compacted required if --revision-bump > 0",
        exitCode: CommandFailure.badArguments)
    }
    guard let bump = Int64(exactly: bump) else {
      throw CommandFailure(
        "--bump-revision must be at most \(Int64.max)", exitCode: CommandFailure.badArguments)
    }
    var restore = SnapshotRestore(
      world.fileSystem, snapshotPath: invocation.arguments[0],
      dataDirectory: dataDirectory(invocation), walDirectory: invocation.string("wal-dir"),
      members: try founders(invocation, world), name: invocation.string("name"))
    restore.skipsHashCheck = invocation.bool("skip-hash-check")
    restore.revisionBump = bump
    if invocation.has("initial-memory-map-size") {
      let map = invocation.unsigned("initial-memory-map-size")
      if map > 0 { restore.bolt.mapBytes = Int(clamping: map) }
    }
    try run(restore, world, invocation.console)
  }

  // etcdutl of etcd asks for --data-dir, though it has a name for one that is not given and its guide relies on that:
  // here, as in etcdctl, it is NAME.etcd.
  package static let restoreFlags: [CommandFlag] =
    [
      CommandFlag("data-dir", .string, "Path to the output data directory"),
      CommandFlag(
        "wal-dir", .string, "Path to the WAL directory (use --data-dir if none given)"),
      CommandFlag(
        "initial-cluster", .string, default: "default=http://localhost:2380",
        "Initial cluster configuration for restore bootstrap"),
      CommandFlag(
        "initial-cluster-token", .string, default: "etcd-cluster",
        "Initial cluster token for the etcd cluster during restore bootstrap"),
      CommandFlag(
        "initial-advertise-peer-urls", .string, default: "http://localhost:2380",
        "List of this member's peer URLs to advertise to the rest of the cluster"),
      CommandFlag("name", .string, default: "default", "Human-readable name for this member"),
      CommandFlag(
        "skip-hash-check", .bool,
        "Ignore snapshot integrity hash value (required if copied from data directory)"),
      CommandFlag(
        "initial-memory-map-size", .unsigned, default: String(BoltOptions().mapBytes),
        "Initial memory map size of the database in bytes. It uses the default value if not "
          + "defined or defined to 0"),
      CommandFlag(
        "bump-revision", .unsigned, "How much to increase the latest revision after restore"),
      CommandFlag(
        "mark-compacted", .bool,
        "Mark the latest revision after restore as the point of scheduled compaction "
          + "(required if --bump-revision > 0, disallowed otherwise)"),
    ]

  private static func dataDirectory(_ invocation: Invocation) -> String {
    let given = invocation.string("data-dir")
    return given.isEmpty ? invocation.string("name") + ".etcd" : given
  }

  /// The members of the new cluster.
  /// - Throws: in the words of etcd's own checks.
  private static func founders(
    _ invocation: Invocation, _ world: World
  ) throws(CommandFailure) -> [MemberInfo] {
    var config = ServerConfig()
    config.name = invocation.string("name")
    let token = invocation.string("initial-cluster-token")
    do throws(EtcdURL.Failure) {
      config.initialAdvertisePeerURLs =
        try EtcdURL.list(invocation.string("initial-advertise-peer-urls")).map(\.description)
      config.initialCluster = try InitialCluster.parse(invocation.string("initial-cluster"))
    } catch { throw CommandFailure(error.message) }
    if let problem = config.bootstrapProblem(resolve: world.resolve) {
      throw CommandFailure(problem)
    }
    return config.initialCluster.map { name, urls in
      MemberInfo(
        id: Identity.memberID(peerURLs: urls, token: token), peerURLs: urls, name: name)
    }
  }

  private static func run(
    _ restore: SnapshotRestore, _ world: World, _ console: Console
  ) throws(CommandFailure) {
    let log = UtilityLog(console: console, now: world.now)
    let wal =
      restore.walDirectory.isEmpty
      ? MemberPaths(data: restore.dataDirectory).wal : restore.walDirectory
    let fields: [(String, JSONValue)] = [
      ("path", .string(restore.snapshotPath)), ("wal-dir", .string(wal)),
      ("data-dir", .string(restore.dataDirectory)),
      ("snap-dir", .string(MemberPaths(data: restore.dataDirectory).snap)),
      ("initial-memory-map-size", .integer(restore.bolt.mapBytes)),
    ]
    do throws(StorageError) {
      try restore.checkDirectories()
      log.write(.info, "restoring snapshot", fields)
      let report = try restore.run(tag: world.random())
      describe(report, restore, log)
    } catch { throw CommandFailure(error.description) }
    log.write(.info, "restored snapshot", fields)
    guard restore.revisionBump == 0 else { return }
    log.write(
      .warn,
      "revisions written after the snapshot was taken will be used again for other data; clients "
        + "that hold them (watchers, caches, locks) must be restarted, or restore with "
        + "--bump-revision and --mark-compacted")
  }

  private static func describe(
    _ report: SnapshotRestore.Report, _ restore: SnapshotRestore, _ log: UtilityLog
  ) {
    log.write(.info, "Trimming membership information from the backend...")
    if let newer = report.newerVersion {
      log.write(
        .warn,
        "the snapshot is of a newer etcd: its keys, leases, users and roles are kept, and the new cluster "
          + "decides on its version when it starts",
        [("snapshot-version", .string("\(newer)"))])
    }
    if restore.revisionBump > 0 {
      log.write(
        .info, "bumping latest revision",
        [
          ("latest-revision", .integer(report.latestRevision)),
          ("bump-amount", .integer(restore.revisionBump)),
          ("new-latest-revision", .integer(report.compactedRevision)),
        ])
      log.write(
        .info, "marking revision compacted", [("revision", .integer(report.compactedRevision))])
    }
    for member in restore.members {
      log.write(
        .info, "added member",
        [
          ("cluster-id", .string(String(report.clusterID, radix: 16))), ("local-member-id", "0"),
          ("added-peer-id", .string(member.hexID)),
          ("added-peer-peer-urls", .array(member.peerURLs.map { .string($0) })),
        ])
    }
  }
}
