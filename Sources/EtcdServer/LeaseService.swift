import Auth
import Bytes
import EtcdAPI
import EtcdConfig
import GRPC
import MVCC
import Member
import Protobuf
import Runtime

/// etcdserverpb.Lease.
///
/// - Source: etcd `v3rpc/lease.go`, `v3_server.go`.
struct LeaseService: Sendable {
  let member: RunningMember

  func register(in router: inout GRPCRouter) {
    typealias Lease = Etcdserverpb.LeaseService
    func add(
      _ method: MethodDescriptor, _ body: @escaping @Sendable (UnaryCall, Bytes) -> Void
    ) { router.unary(method.path, counters: member.counters(method), body) }
    add(Lease.leaseGrant) { grant($0, $1) }
    add(Lease.leaseRevoke) { revoke($0, $1) }
    add(Lease.leaseTimeToLive) { timeToLive($0, $1) }
    add(Lease.leaseLeases) { leases($0, $1) }
    router.streaming(
      Lease.leaseKeepAlive.path, counters: member.counters(Lease.leaseKeepAlive)
    ) { try await keepAlive($0) }
  }

  // MARK: Through the log

  private func grant(_ call: UnaryCall, _ bytes: Bytes) {
    guard var request = call.decode(Etcdserverpb.LeaseGrantRequest.self, bytes) else { return }
    do throws(EtcdError) {
      try member.refuseOnLearner()
      try member.reserve(Quota.leaseCost)
    } catch { return call.fail(GRPCStatus(error)) }
    var bytes = bytes
    if request.id == 0 {
      // Only positive ids are made up.
      while request.id == 0 {
        request.id = Int64(truncatingIfNeeded: member.requests.makeID() & (1 << 63 - 1))
      }
      bytes = request.encoded()
    }
    propose(call, .leaseGrant, bytes) { outcome, term in
      guard case .leaseGranted(let id, let ttl, let revision) = outcome else { return nil }
      return Etcdserverpb.LeaseGrantResponse(
        header: member.header(term: term, revision: revision), id: id, ttl: ttl
      ).encoded()
    }
  }

  private func revoke(_ call: UnaryCall, _ bytes: Bytes) {
    guard call.decode(Etcdserverpb.LeaseRevokeRequest.self, bytes) != nil else { return }
    do throws(EtcdError) { try member.refuseOnLearner() } catch {
      return call.fail(GRPCStatus(error))
    }
    propose(call, .leaseRevoke, bytes) { outcome, term in
      guard case .leaseRevoked(let revision) = outcome else { return nil }
      return Etcdserverpb.LeaseRevokeResponse(
        header: member.header(term: term, revision: revision)
      ).encoded()
    }
  }

  private func propose(
    _ call: UnaryCall, _ field: RaftRequest.Field, _ bytes: Bytes,
    _ encode: @escaping (Outcome, _ term: UInt64) -> Bytes?
  ) {
    member.propose(field, bytes, for: call.metadata) { outcome, term in
      if let answer = encode(outcome, term) { return call.respond(.bytes(answer)) }
      guard case .failed(let error) = outcome else {
        return call.fail(
          GRPCStatus(.internal, "etcdserver: unexpected answer to a lease request"))
      }
      call.fail(GRPCStatus(error))
    }
  }

  // MARK: From the leader's clock

  private func timeToLive(_ call: UnaryCall, _ bytes: Bytes) {
    guard let request = call.decode(Etcdserverpb.LeaseTimeToLiveRequest.self, bytes) else { return }
    do throws(EtcdError) { try member.refuseOnLearner() } catch {
      return call.fail(GRPCStatus(error))
    }
    member.leases.ask(.timeToLive(request.id, keys: request.keys)) { result in
      var response = Etcdserverpb.LeaseTimeToLiveResponse(header: member.header(), id: request.id)
      switch result {
      case .success(.timeToLive(let remaining, let granted, let keys)):
        response.ttl = remaining
        response.grantedTTL = granted
        response.keys = keys
      case .failure(.leaseNotFound): response.ttl = -1
      case .failure(let error): return call.fail(GRPCStatus(error))
      case .success: preconditionFailure("a question about time is answered with time")
      }
      guard request.keys, member.access.isEnabled else { return call.respond(response) }
      permitKeys(response.keys, call) { call.respond(response) }
    }
  }

  /// Lets a caller see the keys of a lease who may read all of them.
  /// - Source: etcd `checkLeaseTimeToLive`.
  private func permitKeys(
    _ keys: [Bytes], _ call: UnaryCall, _ body: @escaping () -> Void
  ) {
    member.identify(call.metadata) { result in
      do throws(EtcdError) {
        guard let caller = try result.get() else { throw .userEmpty }
        for key in keys {
          try member.access.store.checkRead(KeyInterval(key: key, rangeEnd: Bytes()), caller)
        }
        body()
      } catch { call.fail(GRPCStatus(error)) }
    }
  }

  /// Lists the leases of this member, those that end first at the front.
  private func leases(_ call: UnaryCall, _ bytes: Bytes) {
    guard call.decode(Etcdserverpb.LeaseLeasesRequest.self, bytes) != nil else { return }
    do throws(EtcdError) { try member.refuseOnLearner() } catch {
      return call.fail(GRPCStatus(error))
    }
    member.requests.ask(.list) { outcome, _ in
      switch outcome {
      case .lease(.list(let listing)):
        let header = member.header()
        // Sorting a million leases would hold the loop up.
        member.worker.execute {
          let answer = Self.encode(listing, header)
          member.loop.execute { call.respond(.bytes(answer)) }
        }
      case .failed(let error): call.fail(GRPCStatus(error))
      default: call.fail(GRPCStatus(.internal, "etcdserver: unexpected answer to a lease request"))
      }
    }
  }

  private static func encode(
    _ listing: [LeaseListing], _ header: Etcdserverpb.ResponseHeader
  ) -> Bytes {
    let sorted = listing.sorted { ($0.deadline, $0.id) < ($1.deadline, $1.id) }
    return Etcdserverpb.LeaseLeasesResponse(
      header: header, leases: sorted.map { Etcdserverpb.LeaseStatus(id: $0.id) }
    ).encoded()
  }

  /// Renews a lease a message, one after the other; a lease that does not exist has 0 seconds left.
  private func keepAlive(_ stream: ServerStream) async throws -> GRPCStatus {
    do throws(EtcdError) { try member.refuseOnLearner() } catch { return GRPCStatus(error) }
    for try await bytes in stream.requests {
      let request: Etcdserverpb.LeaseKeepAliveRequest
      do throws(ProtobufError) { request = try .decode(bytes) } catch {
        return GRPCStatus(.internal, "grpc: error unmarshalling request: \(error)")
      }
      // The header is from before the renewal: its revision must not be later than what was renewed.
      let header = member.header()
      let ttl: Int64
      switch await member.leases.ask(.renew(request.id)) {
      case .success(.renewed(let seconds)): ttl = seconds
      case .failure(.leaseNotFound): ttl = 0
      case .failure(let error): return GRPCStatus(error)
      case .success: preconditionFailure("a renewal is answered with a renewal")
      }
      let response = Etcdserverpb.LeaseKeepAliveResponse(
        header: header, id: request.id, ttl: ttl)
      try await stream.send(response.encoded())
    }
    return .ok
  }
}
