import CommandLineTool
import EtcdUtlKit
import Platform

extension EtcdCtl {
  /// - Source: etcd 3.4 `etcdctl/ctlv3/command/migrate_command.go`; later releases have it no more.
  static func migrateCommand(_ world: World) -> Command {
    var command = command(
      "migrate", "Migrates keys in a v2 store to a mvcc store",
      [
        CommandFlag("no-ttl", .bool, "Do not convert TTL keys"),
        CommandFlag("data-dir", .string, "Path to the data directory"),
        CommandFlag("wal-dir", .string, "Path to the WAL directory"),
        CommandFlag("transformer", .string, "Path to the user-provided transformer program"),
      ]
    ) { (invocation) throws(CommandFailure) in
      let program = invocation.string("transformer")
      try EtcdUtl.migrateV2(
        world.files, invocation.console,
        EtcdUtl.V2MigrationOptions(
          dataDirectory: invocation.string("data-dir"), walDirectory: invocation.string("wal-dir"),
          leavesOutTTL: invocation.bool("no-ttl"), transformer: program.isEmpty ? nil : program)
      ) { (program, input, output) throws(CommandFailure) in
        // The shell alone knows how to give a program files for its streams.
        let words = ["/bin/sh", "-c", "exec \"$0\" <\"$1\" >\"$2\"", program, input, output]
        do throws(SystemError) {
          return try Program.run(words, environment: ProcessEnvironment.entries) { _ in }
        } catch { throw CommandFailure("cannot run \(program): \(error)") }
      }
    }
    command.long = """
      Takes the keys of the v2 store of a member that does not run into its v3 keys; to be done for every member of
      the cluster, while none runs and after all have ended with the same entry. Keys with a time to live are taken as
      keys that stay, or left out with --no-ttl. A transformer reads nodes as JSON objects, one after another, and writes
      keys: eight bytes of length, little-endian, and a mvccpb.KeyValue. The v2 store stays as it is.
      """
    return command
  }
}
