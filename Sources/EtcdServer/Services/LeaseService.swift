import Auth
import Bytes
import Calls
import EtcdAPI
import EtcdConfig
import EventLoops
import Failpoints
import MVCC
import Member
import Protobuf

/// etcdserverpb.Lease.
///
/// - Source: etcd `v3rpc/lease.go`, `v3_server.go`.
struct LeaseService: Sendable {
  let member: RunningMember

  func register(in router: inout CallRouter) {
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
      // Leases are too small for what is under way to matter.
      try member.reserve(Quota.leaseCost)
      member.release(Quota.leaseCost)
    } catch { return call.fail(error) }
    var bytes = bytes
    if request.id == 0 {
      // Only positive ids are made up.
      while request.id == 0 {
        request.id = Int64(truncatingIfNeeded: member.requests.makeID().rawValue & (1 << 63 - 1))
      }
      bytes = request.encoded()
    }
    member.whenPermitted(.user, call) { [bytes] in
      propose(call, .leaseGrant, bytes) { (outcome, term) throws(EtcdError) in
        let (lease, revision) = try outcome.leaseGrant()
        return Etcdserverpb.LeaseGrantResponse(
          header: member.header(term: term, revision: revision), id: lease.id.rawValue,
          ttl: lease.ttl
        ).encoded()
      }
    }
  }

  private func revoke(_ call: UnaryCall, _ bytes: Bytes) {
    guard call.decode(Etcdserverpb.LeaseRevokeRequest.self, bytes) != nil else { return }
    do throws(EtcdError) { try member.refuseOnLearner() } catch {
      return call.fail(error)
    }
    member.whenPermitted(.user, call) {
      propose(call, .leaseRevoke, bytes) { (outcome, term) throws(EtcdError) in
        Etcdserverpb.LeaseRevokeResponse(
          header: member.header(term: term, revision: try outcome.leaseRevocation())
        ).encoded()
      }
    }
  }

  private func propose(
    _ call: UnaryCall, _ field: RaftRequest.Field, _ bytes: Bytes,
    _ encode: @escaping (Outcome, _ term: Term) throws(EtcdError) -> Bytes
  ) {
    member.propose(field, bytes, for: call.caller) { outcome, term in
      do throws(EtcdError) { call.respond(.bytes(try encode(outcome, term))) } catch {
        call.fail(error)
      }
    }
  }

  // MARK: From the leader's clock

  private func timeToLive(_ call: UnaryCall, _ bytes: Bytes) {
    guard let request = call.decode(Etcdserverpb.LeaseTimeToLiveRequest.self, bytes) else { return }
    do throws(EtcdError) { try member.refuseOnLearner() } catch {
      return call.fail(error)
    }
    member.whenPermitted(.user, call) {
      // The keys are checked before they are asked for; users that changed in between show by the
      // revision.
      let revision = member.access.isEnabled ? member.access.store.revision : 0
      guard request.keys else { return askTimeToLive(request, call, revision) }
      member.permitLease(LeaseID(request.id), .read, call.caller) { error in
        if let error { return call.fail(error) }
        askTimeToLive(request, call, revision)
      }
    }
  }

  private func askTimeToLive(
    _ request: Etcdserverpb.LeaseTimeToLiveRequest, _ call: UnaryCall, _ authRevision: UInt64
  ) {
    Failpoint.hit(.beforeLookupWhenLeaseTimeToLive)
    member.leases.ask(.timeToLive(LeaseID(request.id), keys: request.keys)) { result in
      var response = Etcdserverpb.LeaseTimeToLiveResponse(header: member.header(), id: request.id)
      var keys = LeaseReply.Keys.encoded(Bytes())
      switch result {
      case .success(.timeToLive(let remaining, let granted, let held)):
        response.ttl = remaining
        response.grantedTTL = granted
        keys = held
      case .failure(.leaseNotFound): response.ttl = -1
      case .failure(let error): return call.fail(error)
      case .success: preconditionFailure("a question about time is answered with time")
      }
      if request.keys, member.access.isEnabled, member.access.store.revision != authRevision {
        return call.fail(GRPCStatus(.authOldRevision))
      }
      switch keys {
      case .held(let keys) where !keys.isEmpty: call.respond(KeyStream(response, keys).body)
      case .held: call.respond(response)
      case .encoded(let fields): call.respond(.chunks([response.encoded(), fields]))
      }
    }
  }

  /// Lists the leases of this member, those that end first at the front.
  private func leases(_ call: UnaryCall, _ bytes: Bytes) {
    guard call.decode(Etcdserverpb.LeaseLeasesRequest.self, bytes) != nil else { return }
    do throws(EtcdError) { try member.refuseOnLearner() } catch {
      return call.fail(error)
    }
    member.permitLease(nil, .read, call.caller) { error in
      if let error { return call.fail(error) }
      list(call)
    }
  }

  private func list(_ call: UnaryCall) {
    member.requests.ask(.list) { result in
      switch result {
      case .success(.list(let listing)):
        let header = member.header()
        // Sorting a million leases would hold the loop up.
        member.shared.readers.run(on: member.loop) {
          Self.encode(listing, header)
        } _: { result in
          switch result {
          case .success(let answer): call.respond(.bytes(answer))
          case .failure(let error): call.fail(error)
          }
        }
      case .failure(let error): call.fail(error)
      case .success: preconditionFailure("a question about the list is answered with the list")
      }
    }
  }

  private static func encode(
    _ listing: [LeaseListing], _ header: Etcdserverpb.ResponseHeader
  ) -> Bytes {
    let sorted = listing.sorted { ($0.deadline, $0.id) < ($1.deadline, $1.id) }
    return Etcdserverpb.LeaseLeasesResponse(
      header: header, leases: sorted.map { Etcdserverpb.LeaseStatus(id: $0.id.rawValue) }
    ).encoded()
  }

  /// Renews a lease a message; a lease that does not exist has 0 seconds left.
  private func keepAlive(_ stream: ServerStream) async throws -> GRPCStatus {
    do throws(EtcdError) { try member.refuseOnLearner() } catch { return GRPCStatus(error) }
    let leader = LeaderRequirement.begin(stream, member)
    defer { leader?.end() }
    while true {
      let requests = try await stream.nextRequests(limit: Self.renewalsAtOnceMax)
      if requests.isEmpty { return .ok }
      // The header is from before the renewals: its revision must not be later than what was renewed.
      let header = member.header()
      var leases: [LeaseID] = []
      leases.reserveCapacity(requests.count)
      var refusal: GRPCStatus?
      for bytes in requests {
        do throws(GRPCStatus) { leases.append(try await renewal(bytes, stream.caller)) } catch {
          refusal = error
          break
        }
      }
      switch await renew(leases) {
      case .failure(let error): return GRPCStatus(error)
      case .success(.renewed(let ttls, let failure)):
        for (lease, ttl) in zip(leases, ttls) {
          let response = Etcdserverpb.LeaseKeepAliveResponse(
            header: header, id: lease.rawValue, ttl: ttl)
          try stream.enqueue(.bytes(response.encoded()))
        }
        if let failure { return GRPCStatus(failure) }
      case .success: preconditionFailure("a renewal is answered with a renewal")
      }
      if let refusal { return refusal }
      try await stream.awaitRoom()
    }
  }

  private func renew(_ leases: [LeaseID]) async -> Result<LeaseReply, EtcdError> {
    if leases.isEmpty { return .success(.renewed(ttls: [], failure: nil)) }
    return await member.leases.ask(.renew(leases))
  }

  /// Renewals of a stream that are asked for together: those that have arrived, which wait for one turn of the
  /// core instead of one each.
  private static let renewalsAtOnceMax = 256

  /// Reads a request, and whether its caller may renew the lease.
  private func renewal(
    _ bytes: Bytes, _ caller: Caller
  ) async throws(GRPCStatus) -> LeaseID {
    let request: Etcdserverpb.LeaseKeepAliveRequest
    do throws(ProtobufError) { request = try .decode(bytes) } catch {
      throw GRPCStatus(.internal, "grpc: error unmarshalling request: \(error)")
    }
    let lease = LeaseID(request.id)
    if let error = await permitRenewal(lease, caller) { throw GRPCStatus(error) }
    return lease
  }

  /// Who may not write the keys of a lease may not keep them alive either.
  private func permitRenewal(_ lease: LeaseID, _ caller: Caller) async -> EtcdError? {
    guard member.access.isEnabled else { return nil }
    return await withCheckedContinuation { continuation in
      member.loop.execute {
        member.permitLease(lease, .write, caller) { continuation.resume(returning: $0) }
      }
    }
  }
}
