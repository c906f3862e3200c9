import Bytes
import CommandLineTool
import EtcdAPI
import EtcdClient
import GoText
import Protobuf
import Synchronization

/// - Source: etcd `etcdctl/ctlv3/command/make_mirror_command.go`, `client/v3/mirror/syncer.go`.
extension EtcdCtl {
  private static let mirrorFlags: [CommandFlag] = [
    CommandFlag("prefix", .string, "Key-value prefix to mirror"),
    CommandFlag(
      "dest-prefix", .string,
      "destination prefix to mirror a prefix to a different prefix in the destination cluster"),
    CommandFlag(
      "no-dest-prefix", .bool, "mirror key-values to the root of the destination cluster"),
    CommandFlag(
      "dest-cert", .string,
      "Identify secure client using this TLS certificate file for the destination cluster"),
    CommandFlag("dest-key", .string, "Identify secure client using this TLS key file"),
    CommandFlag(
      "dest-cacert", .string,
      "Verify certificates of TLS enabled secure servers using this CA bundle"),
    CommandFlag(
      "dest-insecure-transport", .bool, default: "true",
      "Disable transport security for client connections"),
    CommandFlag(
      "dest-user", .string,
      "Destination username[:password] for authentication (prompt if password is not supplied)"),
    CommandFlag(
      "dest-password", .string,
      "Destination password for authentication (if this option is used, --user option shouldn't "
        + "include password)"),
  ]

  static func makeMirrorCommand(_ world: World) -> Command {
    command(
      "make-mirror [options] <destination>", "Makes a mirror at the destination etcd cluster",
      mirrorFlags
    ) { (invocation) throws(CommandFailure) in
      guard invocation.arguments.count == 1 else {
        throw misuse("make-mirror takes one destination argument")
      }
      let source = try Context(invocation, world)
      var settings = source.settings
      settings.endpoints = [invocation.arguments[0]]
      settings.tls = try ClientSettings.tls(
        for: settings.endpoints, certificate: invocation.string("dest-cert"),
        key: invocation.string("dest-key"),
        authority: invocation.string("dest-cacert"),
        isTransportInsecure: invocation.bool("dest-insecure-transport"), skipsVerification: false)
      settings.user = ClientSettings.user(
        invocation.string("dest-user"), invocation.string("dest-password")
      ) { world.askPassword("Destination Password: ") }
      let destination = try source.another(settings)
      guard
        !invocation.bool("no-dest-prefix") || invocation.string("dest-prefix").isEmpty
      else {
        throw misuse(
          "`--dest-prefix` and `--no-dest-prefix` cannot be set at the same time, choose one")
      }
      let mirror = Mirror(
        source: source.client, destination: destination.library(on: source.loop),
        prefix: argumentBytes(invocation.string("prefix")), renamed: renamed(invocation))
      try withExtendedLifetime(source) { () throws(CommandFailure) in
        try run(mirror, invocation.console, ProgressLine(world, invocation.console))
      }
    }
  }

  private static func renamed(_ invocation: Invocation) -> Bytes {
    if invocation.bool("no-dest-prefix") { return Bytes() }
    let other = invocation.string("dest-prefix")
    return argumentBytes(other.isEmpty ? invocation.string("prefix") : other)
  }

  /// Mirrors until something fails, and says how many changes it made, every half minute.
  private static func run(
    _ mirror: Mirror, _ console: Console, _ progress: ProgressLine
  ) throws(CommandFailure) {
    defer { progress.clear() }
    let failure = try? Context.wait { () async throws(ClientFailure) -> CommandFailure? in
      await withTaskGroup(of: CommandFailure?.self) { group in
        group.addTask {
          do throws(EtcdClientError) { try await mirror.run() } catch {
            return CommandFailure(ClientFailure(error).message)
          }
          return nil
        }
        group.addTask {
          for second in 1... {
            do { try await Task.sleep(for: .seconds(1)) } catch { return nil }
            progress.show("\(mirror.total) keys written or deleted")
            if second % 30 == 0 { console.print("\(mirror.total)\n") }
          }
          return nil
        }
        defer { group.cancelAll() }
        return await group.next() ?? nil
      }
    }
    throw (failure ?? nil) ?? CommandFailure("the mirror has ended")
  }
}

/// Copies what a prefix has, and then every change of it, to another cluster.
final class Mirror: Sendable {
  private let source: EtcdClient
  private let destination: EtcdClient
  private let prefix: Bytes
  private let renamed: Bytes
  private let changes = Mutex(0)

  /// - Parameter renamed: what keys begin with in the destination instead.
  init(source: EtcdClient, destination: EtcdClient, prefix: Bytes, renamed: Bytes) {
    self.source = source
    self.destination = destination
    self.prefix = prefix
    self.renamed = renamed
  }

  /// How many writes and deletions there were.
  var total: Int { changes.withLock { $0 } }

  private static let pageSize: Int64 = 1000

  /// Runs until something fails.
  func run() async throws(EtcdClientError) {
    // Only the revision of the answer matters.
    let now = try await source.kv.get("foo", limit: 1).header?.revision ?? 0
    for try await page in source.kv.pages(
      .prefix(prefix), pageSize: Self.pageSize, revision: now)
    {
      for pair in page.kvs {
        try await destination.kv.put(name(pair.key), pair.value)
        count()
      }
    }
    for try await update in source.watch(.prefix(prefix), .init(startRevision: now &+ 1)) {
      var operations: [Etcdserverpb.RequestOp] = []
      var revision: Int64 = 0
      for event in update.events {
        guard let pair = event.kv else { continue }
        // One revision becomes one transaction.
        if pair.modRevision > revision, !operations.isEmpty {
          try await destination.kv.txn(success: operations)
          operations = []
        }
        revision = pair.modRevision
        operations.append(operation(event, pair))
        count()
      }
      if !operations.isEmpty { try await destination.kv.txn(success: operations) }
    }
  }

  private func operation(
    _ event: Mvccpb.Event, _ pair: Mvccpb.KeyValue
  ) -> Etcdserverpb.RequestOp {
    let key = name(pair.key)
    return event.type == .delete
      ? .init(request: .requestDeleteRange(.init(key: key)))
      : .init(request: .requestPut(.init(key: key, value: pair.value)))
  }

  private func count() { changes.withLock { $0 += 1 } }

  /// The key in the destination.
  private func name(_ key: Bytes) -> Bytes {
    renamed.followed(by: key[prefix.count..<key.count])
  }
}
