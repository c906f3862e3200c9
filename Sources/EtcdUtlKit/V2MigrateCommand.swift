import Bytes
import CommandLineTool
import EtcdAPI
import FileSystem
import JSON
import MemberStorage
import Protobuf
import V2Store

/// `etcdctl migrate`: from the v2 store to v3 keys, by a transformer.
///
/// A transformer reads JSON objects, one node of the v2 store after another, and writes keys: eight bytes of length in
/// little-endian order, and a `mvccpb.KeyValue`.
///
/// - Source: etcd 3.4 `etcdctl/ctlv3/command/migrate_command.go`.
extension EtcdUtl {
  /// What a migration was told.
  public struct V2MigrationOptions: Sendable {
    let dataDirectory: String
    let walDirectory: String
    let leavesOutTTL: Bool
    /// `nil` for the one of our own, which takes every file.
    let transformer: String?

    public init(
      dataDirectory: String, walDirectory: String, leavesOutTTL: Bool, transformer: String?
    ) {
      self.dataDirectory = dataDirectory
      self.walDirectory = walDirectory
      self.leavesOutTTL = leavesOutTTL
      self.transformer = transformer
    }
  }

  /// Bytes of one key that a transformer may write.
  private static let keyBytesMax = 512 << 20

  /// Migrates the data of a member that does not run.
  /// - Parameter run: runs a program with two files as its input and output; returns its exit status.
  /// - Throws: exit code 1 and why; then nothing has changed.
  public static func migrateV2(
    _ world: World, _ console: Console, _ options: V2MigrationOptions,
    run: (_ program: String, _ input: String, _ output: String) throws(CommandFailure) -> Int32
  ) throws(CommandFailure) {
    let migration = V2Migration(
      world.fileSystem, dataDirectory: options.dataDirectory, walDirectory: options.walDirectory)
    if options.transformer == nil { console.print("using default transformer\n") }
    let source: V2Migration.Source
    do throws(StorageError) { source = try migration.read() } catch {
      throw CommandFailure(error.description)
    }
    guard let users = source.users() else { return console.print("no v2 keys to migrate\n") }
    if source.commit < source.index {
      console.printError(
        "entries \(source.commit + 1) to \(source.index) are not known to be committed here; see that"
          + " the other members end with the same entry\n")
    }
    let now = world.now()
    // checked: seconds of this century
    let nanoseconds = now &* 1_000_000_000
    let nodes = flat(users, nanoseconds, options.leavesOutTTL)
    let keys: [Mvccpb.KeyValue]
    if let transformer = options.transformer {
      keys = try transformed(nodes, nanoseconds, transformer, world, migration, run: run)
    } else {
      keys = nodes.filter { !$0.isDirectory }.map(keyValue)
    }
    do throws(StorageError) {
      _ = try migration.write(
        keys, source,
        onWait: {
          console.printError(
            "waiting for etcd to close and release its lock on \"\(migration.databasePath)\"\n")
        }, pause: world.pause)
    } catch { throw CommandFailure(error.description) }
    console.print("finished transforming keys\n")
  }

  /// A node and those below it, each without its own; the root is called `/`.
  private static func flat(_ node: V2Entry, _ now: Int64, _ leavesOutTTL: Bool) -> [V2Entry] {
    var own = node
    own.nodes = nil
    if own.key == V2Entry.userRoot { own.key = V2Entry.userRoot + "/" }
    let isLeftOut = leavesOutTTL && node.secondsLeft(now) != 0
    return (isLeftOut ? [] : [own]) + (node.nodes ?? []).flatMap { flat($0, now, leavesOutTTL) }
  }

  private static func keyValue(_ node: V2Entry) -> Mvccpb.KeyValue {
    var key = Mvccpb.KeyValue()
    key.key = Bytes(V2Entry.withoutRoot(node.key))
    key.value = Bytes(node.value ?? "")
    key.createRevision = Int64(clamping: node.createdIndex)
    key.modRevision = Int64(clamping: node.modifiedIndex)
    key.version = 1
    return key
  }

  // MARK: programs of the user

  private static func transformed(
    _ nodes: [V2Entry], _ now: Int64, _ program: String, _ world: World, _ migration: V2Migration,
    run: (String, String, String) throws(CommandFailure) -> Int32
  ) throws(CommandFailure) -> [Mvccpb.KeyValue] {
    let files = ["nodes", "keys"].map {
      "\(migration.dataDirectory)/migrate-\(world.random()).\($0)"
    }
    defer { for file in files { try? world.fileSystem.remove(file) } }
    var text = ByteWriter(capacity: 4096)
    for node in nodes { node.writeJSON(now: now, to: &text) }
    do throws(FileError) {
      let input = text.finish()
      for (file, content) in zip(files, [input, Bytes()]) {
        let file = try world.fileSystem.open(file, .create(permissions: 0o600))
        defer { file.close() }
        let failure = content.withUnsafeBytes { (memory) -> FileError? in
          do throws(FileError) { try file.write(memory, at: 0) } catch { return error }
          return nil
        }
        if let failure { throw failure }
      }
    } catch { throw CommandFailure("failed to transform keys: \(error.goDescription)") }
    let status = try run(program, files[0], files[1])
    guard status == 0 else {
      throw CommandFailure("failed to transform keys: \(program) ended with status \(status)")
    }
    let output: Bytes
    do throws(FileError) { output = try world.fileSystem.readFile(files[1], limit: .max) } catch {
      throw CommandFailure("failed to transform keys: \(error.goDescription)")
    }
    return try keys(output, program)
  }

  /// Reads what a transformer wrote.
  private static func keys(
    _ output: Bytes, _ program: String
  ) throws(CommandFailure) -> [Mvccpb.KeyValue] {
    var keys: [Mvccpb.KeyValue] = []
    var left = output
    while !left.isEmpty {
      let place = output.count - left.count
      guard left.count >= 8 else {
        throw CommandFailure(
          "failed to transform keys: \(program) wrote \(left.count) bytes at \(place), where the eight"
            + " of a length are expected")
      }
      let length = left.prefix(8).reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
      left = left.dropFirst(8)
      guard let count = Int(exactly: length), count <= min(left.count, keyBytesMax) else {
        throw CommandFailure(
          "failed to transform keys: \(program) announces \(length) bytes at \(place), and"
            + " \(left.count) follow")
      }
      do { keys.append(try Mvccpb.KeyValue.decode(left.prefix(count))) } catch {
        throw CommandFailure(
          "failed to transform keys: what \(program) wrote at \(place) is no mvccpb.KeyValue: \(error)"
        )
      }
      left = left.dropFirst(count)
    }
    return keys
  }
}
