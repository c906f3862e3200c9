import EtcdAPI
import EtcdConfig
import EventLoops
import MVCC
import Member
import MemberStorage
import Membership
import Synchronization

/// Compares a member that has data with the others before it serves anybody.
///
/// - Source: etcd `InitialCheck`, `embed.StartEtcd`.
enum InitialCheck {
  /// Checks a member that has data, if that is asked for. Blocks the caller, not the loop.
  /// - Throws: `StorageError` in etcd's words when another member has other data; log and backend are
  ///   closed then.
  static func run(
    _ boot: borrowing Bootstrap.Result, _ config: ServerConfig, _ dialler: ExistingCluster.Dialler,
    _ logger: Logger
  ) throws(StorageError) {
    guard config.initialCorruptCheck, !boot.isNew else { return }
    do throws(StorageError) { try check(boot, config, dialler, logger) } catch {
      // Why the member does not start is what counts, not how its log was closed.
      try? boot.opened.log.close()
      boot.opened.backend.close()
      throw error
    }
  }

  private static func check(
    _ boot: borrowing Bootstrap.Result, _ config: ServerConfig, _ dialler: ExistingCluster.Dialler,
    _ logger: Logger
  ) throws(StorageError) {
    let opened = boot.opened
    let name = opened.memberID.hex
    logger.info(
      "starting initial corruption check",
      [
        LogField("local-member-id", .string(name)),
        LogField("timeout", .duration(config.requestTimeout)),
      ])
    let local: MemberHash
    let members: [MemberInfo]
    do {
      let state = opened.store.snapshot()
      local = MemberHash(value: try state.hash(at: 0), current: state.revision)
      // Rows of the backend are newer than the raft snapshot that the log begins with.
      let stored = try opened.store.rows(.members).map { try MemberInfo(json: $0.value) }
      members = stored.isEmpty ? boot.core.membership.sorted : stored
    } catch { throw StorageError("\(name) failed to fetch hash (\(error))") }
    let peers = ask(members, at: local.current, opened, config, dialler, logger)
    let verdict = CorruptionCheck.initial(localID: opened.memberID, local, peers)
    logger.log(verdict.lines)
    guard verdict.mismatches == 0 else {
      let reason = "\(name) found data inconsistency with peers"
      logger.error("checkInitialHashKV failed", [LogField("error", .string(reason))])
      throw StorageError(reason)
    }
    logger.info(
      "initial corruption checking passed; no corruption",
      [LogField("local-member-id", .string(name))])
  }

  private static func ask(
    _ members: [MemberInfo], at revision: Int64, _ opened: MemberDirectory.Opened,
    _ config: ServerConfig, _ dialler: ExistingCluster.Dialler, _ logger: Logger
  ) -> [PeerHash] {
    let answers = Mutex<[PeerHash]>([])
    let gate = Gate()
    let ids = (member: opened.memberID, cluster: opened.clusterID)
    dialler.loop.execute {
      let client = PeerHashClient(
        loop: dialler.loop, dial: dialler.dial, localID: ids.member, clusterID: ids.cluster,
        timeout: config.requestTimeout, logger: logger)
      client.ask(members, at: revision) { peers in
        answers.withLock { $0 = peers }
        client.close()
        gate.open()
      }
    }
    gate.wait()
    return answers.withLock { $0 }
  }
}
