import CommandLineTool
import MemberStorage

extension EtcdUtl {
  /// - Source: etcd 3.5.30 `etcdutl/check_command.go`.
  static func checkCommand(_ world: World) -> Command {
    var check = Command("check <subcommand>", short: "commands for checking properties")
    check.commands = [checkV2StoreCommand(world)]
    return check
  }

  private static func checkV2StoreCommand(_ world: World) -> Command {
    var command = Command("v2store", short: "Check custom content in v2store")
    var source = CommandFlag(
      "data-dir", .string, "Required. A data directory not in use by etcd.")
    source.isRequired = true
    command.flags = [
      source, CommandFlag("wal-dir", .string, "Optional. A dedicated WAL directory."),
    ]
    command.run = { (invocation) throws(CommandFailure) in
      let holdsContent: Bool
      do throws(StorageError) {
        holdsContent = try V2ContentCheck.holdsContent(
          world.fileSystem, dataDirectory: invocation.string("data-dir"),
          walDirectory: invocation.string("wal-dir"))
      } catch { throw CommandFailure(error.description) }
      guard !holdsContent else { throw CommandFailure("detected custom content in v2store") }
      invocation.console.print("No custom content found in v2store.\n")
    }
    return command
  }
}
