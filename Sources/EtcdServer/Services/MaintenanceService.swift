import Bolt
import Bytes
import Calls
import EtcdAPI
import EtcdConfig
import EventLoops
import MVCC
import Member
import MemberStorage
import Membership
import Protobuf
import Synchronization

/// etcdserverpb.Maintenance.
///
/// - Source: etcd `v3rpc/maintenance.go`.
struct MaintenanceService: Sendable {
  let member: RunningMember

  func register(in router: inout CallRouter) {
    typealias Maintenance = Etcdserverpb.MaintenanceService
    func add(
      _ method: MethodDescriptor, _ need: RunningMember.Need, untranslated: Bool = false,
      _ body: @escaping @Sendable (UnaryCall, Bytes) -> Void
    ) {
      router.unary(method.path, counters: member.counters(method)) { [member] call, bytes in
        member.whenPermitted(need, call, untranslated: untranslated) { body(call, bytes) }
      }
    }
    add(Maintenance.alarm, .user) { alarm($0, $1) }
    add(Maintenance.status, .admin) { status($0, $1) }
    add(Maintenance.defragment, .admin, untranslated: true) { defragment($0, $1) }
    add(Maintenance.hash, .admin, untranslated: true) { hash($0, $1) }
    add(Maintenance.hashKV, .admin, untranslated: true) { hashKV($0, $1) }
    add(Maintenance.moveLeader, .admin) { moveLeader($0, $1) }
    add(Maintenance.downgrade, .admin) { downgrade($0, $1) }
    router.streaming(
      Maintenance.snapshot.path, counters: member.counters(Maintenance.snapshot)
    ) { try await snapshot($0) }
  }

  private func alarm(_ call: UnaryCall, _ bytes: Bytes) {
    guard let request = call.decode(Etcdserverpb.AlarmRequest.self, bytes) else { return }
    // Everybody with a name may look at alarms, and only root may change them.
    guard request.action != .get else { return proposeAlarm(call, bytes) }
    member.whenPermitted(.admin, call) { proposeAlarm(call, bytes) }
  }

  private func proposeAlarm(_ call: UnaryCall, _ bytes: Bytes) {
    let id = member.requests.makeID()
    member.requests.propose(id: id, RaftRequest.encode(.alarm, bytes, id: id)) { outcome, term in
      do throws(EtcdError) {
        let (alarms, revision) = try outcome.alarms()
        call.respond(
          Etcdserverpb.AlarmResponse(
            header: member.header(term: term, revision: revision), alarms: alarms))
      } catch { call.fail(error) }
    }
  }

  private func status(_ call: UnaryCall, _ bytes: Bytes) {
    guard call.decode(Etcdserverpb.StatusRequest.self, bytes) != nil else { return }
    let status = member.host.status
    let sizes = member.host.backend.sizes
    var response = Etcdserverpb.StatusResponse(
      header: member.header(term: status.term, revision: status.revision),
      version: ServerVersion.etcd, dbSize: Int64(sizes.total), leader: status.leader.rawValue,
      raftIndex: status.commitIndex.rawValue, raftTerm: status.term.rawValue,
      raftAppliedIndex: status.appliedIndex.rawValue, dbSizeInUse: Int64(sizes.inUse),
      isLearner: status.isLearner)
    if status.leader == .none { response.errors.append(EtcdError.noLeader.message) }
    response.errors += status.alarms.map(\.text)
    call.respond(response)
  }

  /// Rewrites this member's database; other requests go on meanwhile.
  private func defragment(_ call: UnaryCall, _ bytes: Bytes) {
    guard call.decode(Etcdserverpb.DefragmentRequest.self, bytes) != nil else { return }
    let count = member.shared.defragmentations.add(1, ordering: .relaxed).newValue
    guard count <= Self.defragmentationsMax else {
      member.shared.defragmentations.subtract(1, ordering: .relaxed)
      return call.fail(GRPCStatus(.tooManyRequests))
    }
    // What was compacted before has to be gone: who is out of space compacts, defragments, and expects
    // room then.
    member.flushBackend(withCompactions: true, within: Self.compactionPatience) { rewrite(call) }
  }

  /// Defragmentations under way or waiting; one goes on at a time.
  static let defragmentationsMax = 16

  /// A compaction that takes longer than this goes on behind the defragmentation.
  private static let compactionPatience = Duration.seconds(10)

  private func rewrite(_ call: UnaryCall) {
    member.logger.info("starting defragment")
    member.shared.serving.defragmentStarted()
    let start = ContinuousClock.now
    member.host.defragment { result in
      member.shared.serving.defragmentFinished()
      member.shared.defragmentations.subtract(1, ordering: .relaxed)
      member.loop.execute {
        switch result {
        case .success:
          member.logger.info(
            "finished defragment", [LogField("took", .duration(ContinuousClock.now - start))])
          // Without a header, as etcd.
          call.respond(Etcdserverpb.DefragmentResponse())
        case .failure(let error):
          member.logger.error("failed to defragment", [LogField("error", .error(error))])
          call.fail(GRPCStatus(.unknown, error.description))
        }
      }
    }
  }

  private func hash(_ call: UnaryCall, _ bytes: Bytes) {
    guard call.decode(Etcdserverpb.HashRequest.self, bytes) != nil else { return }
    withDurableState(call) { [histogram = member.metrics.requests.hash] rows in
      let start = ContinuousClock.now
      let value = try rows.backendHash()
      histogram.observe(ContinuousClock.now - start)
      return { header in Etcdserverpb.HashResponse(header: header, hash: value).encoded() }
    }
  }

  private func hashKV(_ call: UnaryCall, _ bytes: Bytes) {
    guard let request = call.decode(Etcdserverpb.HashKVRequest.self, bytes) else { return }
    member.hash(at: request.revision, wanted: call.wantedFlag()) { result, term in
      switch result {
      case .failure(let error): call.fail(error)
      case .success(let hash):
        call.respond(
          Etcdserverpb.HashKVResponse(
            header: member.header(term: term, revision: hash.current), hash: hash.value.hash,
            compactRevision: hash.value.compactRevision))
      }
    }
  }

  /// Brings the backend up to date and computes something from it off the loops.
  private func withDurableState(
    _ call: UnaryCall,
    _ body:
      @escaping @Sendable (BoltRows) throws -> @Sendable (Etcdserverpb.ResponseHeader) -> Bytes
  ) {
    let hashes = member.shared.hashes
    guard hashes.enterDatabases() else { return call.fail(GRPCStatus(.tooManyRequests)) }
    let wanted = call.wantedFlag()
    member.requests.flush { result in
      if case .failure(let error) = result {
        hashes.leaveDatabases()
        return call.fail(error)
      }
      member.worker.execute {
        defer { hashes.leaveDatabases() }
        guard wanted.isSet else { return }
        let answer = Result { try body(member.host.backend.state()) }
        member.loop.execute {
          switch answer {
          case .success(let make): call.respond(.bytes(make(member.header())))
          case .failure(let error): call.fail(GRPCStatus(.internal, "\(error)"))
          }
        }
      }
    }
  }

  // MARK: Snapshot

  /// Streams the database file as of now, then its SHA-256.
  private func snapshot(_ stream: ServerStream) async throws -> GRPCStatus {
    let start = ContinuousClock.now
    do throws(EtcdError) { try await member.requirePermission(.admin, stream.caller) } catch {
      return GRPCStatus(error.untranslated)
    }
    do throws(EtcdError) { try await member.flushBackend() } catch { return GRPCStatus(error) }
    let rows = try member.host.backend.state()
    let total = rows.transaction.size
    member.logger.info(
      "sending database snapshot to client", [LogField("total-bytes", .int(total))])
    let reader = SnapshotReader(rows.transaction)
    var sent = 0
    var blobs = await reader.next(on: member.worker)
    while !blobs.isEmpty {
      // The next ones are copied and hashed while these are sent.
      async let following = reader.next(on: member.worker)
      for blob in blobs {
        sent += blob.count
        let response = Etcdserverpb.SnapshotResponse(
          remainingBytes: UInt64(total - sent), blob: blob)
        try await stream.send(response.encoded())
      }
      blobs = await following
    }
    let last = Etcdserverpb.SnapshotResponse(blob: reader.digest())
    try await stream.send(last.encoded())
    member.metrics.disk.clientSnapshot.observe(ContinuousClock.now - start)
    member.logger.info(
      "successfully sent database snapshot to client",
      [
        LogField("total-bytes", .int(total)),
        LogField("took", .duration(ContinuousClock.now - start)),
      ])
    return .ok
  }

  // MARK: Leadership

  private func moveLeader(_ call: UnaryCall, _ bytes: Bytes) {
    guard let request = call.decode(Etcdserverpb.MoveLeaderRequest.self, bytes) else { return }
    let status = member.host.status
    guard status.leader == member.host.memberID else {
      return call.fail(GRPCStatus(.notLeader))
    }
    let targetID = MemberID(request.targetID)
    guard let target = member.host.membership.members[targetID], !target.isLearner else {
      return call.fail(GRPCStatus(.badLeaderTransferee))
    }
    member.logger.info(
      "leadership transfer starting",
      [
        LogField("local-member-id", .string(member.host.memberID.hex)),
        LogField("transferee-member-id", .string(target.hexID)),
      ])
    member.host.post(.transferLeader(target.id))
    awaitLeader(target.id, call, until: member.loop.now + member.config.requestTimeout.nanoseconds)
  }

  /// Answers once the member leads, looking once a heartbeat.
  private func awaitLeader(_ id: MemberID, _ call: UnaryCall, until deadline: UInt64) {
    guard call.isOpen else { return }
    if member.host.status.leader == id {
      return call.respond(Etcdserverpb.MoveLeaderResponse(header: member.header()))
    }
    guard member.loop.now < deadline else {
      return call.fail(GRPCStatus(.timeoutLeaderTransfer))
    }
    member.loop.schedule(after: .milliseconds(member.config.heartbeatInterval)) {
      awaitLeader(id, call, until: deadline)
    }
  }
}

extension RunningMember {
  /// Calls `done` once the backend holds everything applied before the call, or the time is over: a
  /// member that is still replaying its log writes nothing. On the loop.
  func flushBackend(
    withCompactions: Bool = false, within limit: Duration, _ done: @escaping () -> Void
  ) {
    var isOver = false
    func finish() {
      if isOver { return }
      isOver = true
      done()
    }
    requests.flush(withCompactions: withCompactions) { _ in finish() }
    loop.schedule(after: limit) { finish() }
  }

  /// Returns once the backend holds everything applied before the call, or the time is over.
  func flushBackend(within limit: Duration) async {
    await withCheckedContinuation { (done: CheckedContinuation<Void, Never>) in
      loop.execute { self.flushBackend(within: limit) { done.resume() } }
    }
  }

  /// Returns once the backend holds everything applied before the call.
  func flushBackend() async throws(EtcdError) {
    let result: Result<Void, EtcdError> = await withCheckedContinuation { continuation in
      loop.execute { self.requests.flush { continuation.resume(returning: $0) } }
    }
    try result.get()
  }
}

/// Copies and hashes a database piece by piece on a worker thread: a loop would keep requests waiting.
///
/// The copy that is hashed is the copy that is sent: pages that are free may change meanwhile.
private final class SnapshotReader: @unchecked Sendable {
  // @unchecked: one call at a time; the next begins when the one before has returned.
  private static let blobBytes = 32 * 1024
  private static let blobsAtOnce = 32

  private let transaction: BoltReadTransaction
  private let hash = StreamingSHA256()
  private var position = 0

  init(_ transaction: BoltReadTransaction) { self.transaction = transaction }

  /// The next blobs; empty at the end.
  func next(on worker: WorkerThread) async -> [Bytes] {
    await withCheckedContinuation { done in
      worker.execute { done.resume(returning: self.read()) }
    }
  }

  private func read() -> [Bytes] {
    var blobs: [Bytes] = []
    while blobs.count < Self.blobsAtOnce {
      let blob = transaction.snapshotBytes(at: position, count: Self.blobBytes)
      if blob.count == 0 { break }
      hash.update(blob)
      position += blob.count
      blobs.append(blob)
    }
    return blobs
  }

  /// SHA-256 of everything; call once, at the end.
  func digest() -> Bytes { hash.finish() }
}
