import Bolt
import CommandLineTool
import FileSystem
import MVCC
import MemberStorage

extension EtcdUtl {
  /// The hash that `etcdctl endpoint hashkv` asks running members for, from a file.
  /// - Source: etcd 3.6 `etcdutl/hashkv_command.go`.
  static func hashKVCommand(_ world: World) -> Command {
    var command = Command(
      "hashkv <filename>", short: "Prints the KV history hash of a given file")
    command.arguments = .exactly(1)
    command.flags = [
      CommandFlag("rev", .signed, "maximum revision to hash (default: latest revision)")
    ]
    command.run = { (invocation) throws(CommandFailure) in
      let format = try Output.format(invocation)
      let hash = try hashKV(
        world.fileSystem, path: invocation.arguments[0], revision: invocation.signed("rev"))
      invocation.console.print(try output(hash).text(format))
    }
    return command
  }

  private static func hashKV(
    _ fileSystem: any FileSystem, path: String, revision: Int64
  ) throws(CommandFailure) -> StoreSnapshot.Hash {
    try DatabaseFile.read(fileSystem, path: path) { (transaction) throws(CommandFailure) in
      try hashKV(transaction, path, revision)
    }
  }

  private static func hashKV(
    _ transaction: BoltReadTransaction, _ path: String, _ revision: Int64
  ) throws(CommandFailure) -> StoreSnapshot.Hash {
    do {
      let store = try MVCCStore.restore(from: BoltRows(transaction))
      return try store.snapshot().hash(at: revision)
    } catch StoreError.compacted {
      throw CommandFailure("mvcc: required revision has been compacted")
    } catch StoreError.futureRevision {
      throw CommandFailure("mvcc: required revision is a future revision")
    } catch StoreError.damaged(let reason) {
      throw CommandFailure("\(path): \(reason)")
    } catch { throw CommandFailure("\(path): \(error)") }
  }

  private static func output(_ hash: StoreSnapshot.Hash) -> Output {
    func item(_ json: String, _ field: String, _ value: some BinaryInteger) -> Output.Item {
      Output.Item(
        json: json, field: field, column: field.lowercased(), number: "\(value)",
        shown: "\(value)")
    }
    return Output(items: [
      item("hash", "Hash", hash.hash),
      item("hashRevision", "Hash revision", hash.revision),
      item("compactRevision", "Compact revision", hash.compactRevision),
    ])
  }
}
