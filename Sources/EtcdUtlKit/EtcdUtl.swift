import CommandLineTool
import EtcdConfig
import FileSystem

/// The commands of `etcdutl`: tools for the files of a member that does not run.
///
/// - Source: etcd 3.5 `etcdutl/ctl.go`; `check` came with 3.5.18, `hashkv` and `migrate` are those of 3.6.
public enum EtcdUtl {
  /// What the commands need from the machine.
  public struct World: Sendable {
    public let fileSystem: any FileSystem
    /// Seconds since 1970-01-01 UTC.
    public let now: @Sendable () -> Int64
    /// Waits a moment before a lock is asked for again.
    public let pause: @Sendable () -> Void
    /// A number that no other run has.
    public let random: @Sendable () -> UInt64
    /// The numeric `host:port` of a named one; `nil` when it has none.
    public let resolve: @Sendable (String) -> String?

    public init(
      fileSystem: any FileSystem, now: @escaping @Sendable () -> Int64,
      pause: @escaping @Sendable () -> Void, random: @escaping @Sendable () -> UInt64,
      resolve: @escaping @Sendable (String) -> String?
    ) {
      self.fileSystem = fileSystem
      self.now = now
      self.pause = pause
      self.random = random
      self.resolve = resolve
    }
  }

  /// The program.
  public static func tool(_ world: World) -> Tool {
    var root = Command("etcdutl", short: "An administrative command line tool for etcd3.")
    root.persistentFlags = [
      {
        var flag = CommandFlag(
          "write-out", shorthand: "w", .string, default: "simple",
          "set the output format (fields, json, protobuf, simple, table)")
        flag.choices = ["fields", "json", "protobuf", "simple", "table"]
        return flag
      }()
    ]
    root.commands = [
      backupCommand(world), checkCommand(world), defragCommand(world), hashKVCommand(world),
      migrateCommand(world), snapshotCommand(world),
      versionCommand(),
    ]
    return Tool(root)
  }

  private static func snapshotCommand(_ world: World) -> Command {
    var snapshot = Command("snapshot <subcommand>", short: "Manages etcd node snapshots")
    snapshot.commands = [
      restoreCommand(world), saveCommand(), statusCommand(world),
    ]
    return snapshot
  }

  /// Kept for scripts of before 3.5: it says where saving went.
  private static func saveCommand() -> Command {
    var save = Command(
      "save <filename>", short: "Stores an etcd node backend snapshot to a given file")
    save.isHidden = true
    save.showsFlagsInUseLine = false
    save.deprecated = "Use `etcdctl snapshot save` to download snapshot"
    save.run = { (_) throws(CommandFailure) in
      throw CommandFailure(
        "In order to download snapshot use: `etcdctl snapshot save ...`",
        exitCode: CommandFailure.badArguments)
    }
    return save
  }

  private static func versionCommand() -> Command {
    var version = Command("version", short: "Prints the version of etcdutl")
    version.run = { (invocation) throws(CommandFailure) in
      let parts = ServerVersion.majorMinor(ServerVersion.etcd)
      invocation.console.print("etcdutl version: \(ServerVersion.etcd)\nAPI version: \(parts)\n")
    }
    return version
  }
}
