import Bytes
import CommandLineTool
import EtcdAPI
import EtcdUtlKit
import FileSystem
import GRPC
import GoText
import JSON
import Protobuf

extension EtcdCtl {
  /// - Source: etcd `etcdctl/ctlv3/command/snapshot_command.go`.
  static func snapshotCommand(_ world: World) -> Command {
    var snapshot = Command("snapshot <subcommand>", short: "Manages etcd node snapshots")
    var status = command(
      "status <filename>", "[deprecated] Gets backend snapshot status of a given file"
    ) { (invocation) throws(CommandFailure) in
      invocation.console.printError("Deprecated: Use `etcdutl snapshot status` instead.\n\n")
      try EtcdUtl.showStatus(world.files, invocation)
    }
    status.long = """
      When --write-out is set to simple, this command prints out comma-separated status lists for \
      each endpoint.
      The items in the lists are hash, revision, total keys, total size.

      Moved to 'etcdctl snapshot status ...'
      """
    var restore = command(
      "restore <filename> [options]", "Restores an etcd member snapshot to an etcd directory",
      restoreFlags
    ) { (invocation) throws(CommandFailure) in
      invocation.console.printError("Deprecated: Use `etcdutl snapshot restore` instead.\n\n")
      try EtcdUtl.restore(world.files, invocation)
    }
    restore.long = "Moved to `etcdctl snapshot restore ...`"
    snapshot.commands = [
      command("save <filename>", "Stores an etcd node backend snapshot to a given file") {
        (invocation) throws(CommandFailure) in
        guard invocation.arguments.count == 1 else {
          throw misuse("snapshot save expects one argument")
        }
        let context = try Context(invocation, world)
        let path = invocation.arguments[0]
        do throws(SaveFailure) { try SnapshotSave(context, path).run() } catch {
          throw CommandFailure(error.message, exitCode: CommandFailure.interrupted)
        }
        invocation.console.print("Snapshot saved at \(path)\n")
      },
      restore, status,
    ]
    return snapshot
  }

  /// Those of etcdutl. The help shows what etcdctl 3.5.1 had; the others came with a later 3.5.
  private static let restoreFlags: [CommandFlag] = {
    let later = ["initial-memory-map-size", "bump-revision", "mark-compacted"]
    return EtcdUtl.restoreFlags.map { flag in
      if flag.name == "data-dir" {
        return CommandFlag("data-dir", .string, "Path to the data directory")
      }
      var flag = flag
      flag.isHidden = later.contains(flag.name)
      return flag
    }
  }()
}

/// Why a snapshot was not saved.
struct SaveFailure: Error { let message: String }

/// Downloads a database and puts it in place once it is whole and durable.
///
/// - Source: etcd `client/v3/snapshot/v3_snapshot.go`.
struct SnapshotSave {
  private let context: Context
  private let path: String
  private var partPath: String { path + ".part" }
  private var fileSystem: any FileSystem { context.world.files.fileSystem }

  init(_ context: Context, _ path: String) {
    self.context = context
    self.path = path
  }

  func run() throws(SaveFailure) {
    let endpoints = context.settings.endpoints
    guard endpoints.count == 1 else {
      throw SaveFailure(
        message: "snapshot must be requested to one selected node, not multiple "
          + "[\(endpoints.joined(separator: " "))]")
    }
    let file = try open()
    defer {
      file.close()
      try? fileSystem.remove(partPath)
    }
    log("created temporary db file", [("path", .string(partPath))])
    let size = try download(to: file, endpoints[0])
    // Pages are multiples of 512 bytes, and the digest of SHA-256 has 32.
    guard size % 512 == 32 else {
      throw SaveFailure(message: "sha256 checksum not found [bytes: \(size)]")
    }
    do throws(FileError) { try file.sync() } catch {
      throw SaveFailure(message: error.goDescription)
    }
    log(
      "fetched snapshot",
      [
        ("endpoint", .string(endpoints[0])), ("size", .string(HumanSize.text(size))),
        ("took", "now"),
      ])
    do throws(FileError) {
      try fileSystem.rename(partPath, to: path)
      try fileSystem.syncDirectory(directory)
    } catch {
      throw SaveFailure(
        message: "could not rename \(partPath) to \(path) (\(error.goDescription))")
    }
    log("saved", [("path", .string(path))])
  }

  private var directory: String {
    guard let slash = path.lastIndex(of: "/") else { return "." }
    return slash == path.startIndex ? "/" : String(path[..<slash])
  }

  private func open() throws(SaveFailure) -> any StorageFile {
    do throws(FileError) {
      let file = try fileSystem.open(partPath, .create(permissions: 0o600))
      try file.truncate(to: 0)
      return file
    } catch {
      throw SaveFailure(message: "could not open \(partPath) (\(error.goDescription))")
    }
  }

  private func download(
    to file: any StorageFile, _ endpoint: String
  ) throws(SaveFailure) -> Int {
    let session = context.session
    let progress = ProgressLine(context.world, context.console)
    defer { progress.clear() }
    let deadline = context.settings.isCommandTimeoutGiven ? context.deadline : nil
    do throws(ClientFailure) {
      let (first, rest) = try Context.wait { () async throws(ClientFailure) in
        try await session.answers(
          Etcdserverpb.MaintenanceService.snapshot, Etcdserverpb.SnapshotRequest(),
          deadline: deadline)
      }
      log("fetching snapshot", [("endpoint", .string(endpoint))])
      return try Context.wait { () async throws(ClientFailure) in
        var size = 0
        do {
          var next = first
          while let message = next {
            let part = try Etcdserverpb.SnapshotResponse.decode(message)
            let blob = part.blob
            try blob.withUnsafeBytes { (memory) throws(FileError) in
              try file.write(memory, at: size)
            }
            size += blob.count
            progress.show(
              "fetched \(HumanSize.text(size)), \(part.remainingBytes / 1_000_000) MB to come")
            next = try await rest.next()
          }
          return size
        } catch let error as FileError {
          throw ClientFailure(local: error.goDescription)
        } catch { throw Session.failure(error) }
      }
    } catch { throw SaveFailure(message: error.message) }
  }

  /// A line as zap's production encoding writes it.
  private func log(
    _ message: String, _ fields: [(String, JSONValue)], file: StaticString = #fileID,
    line: UInt = #line
  ) {
    var object = JSONObject([
      .init("level", "info"), .init("ts", .number("\(context.world.preciseNow())")),
      .init("caller", .string("\(file):\(line)")), .init("msg", .string(message)),
    ])
    object.members += fields.map { .init($0.0, $0.1) }
    context.console.printError(JSONValue.object(object).encoded().string + "\n")
  }
}
