import Bytes
import Calls
import Concurrency
import EtcdAPI
import Protobuf

/// v3electionpb.Election: the oldest key under a name leads.
///
/// As with locks, a candidate whose key has gone is never told that it leads; Go etcd does not look again.
///
/// - Source: etcd `v3election/election.go`, `concurrency/election.go`.
struct ElectionService: Sendable {
  let member: RunningMember
  /// The other services.
  let calls: LocalCalls

  private static let notLeader = GRPCStatus(.unknown, "election: not leader")
  private static let noLeaderKey = GRPCStatus(.unknown, "\"leader\" field must be provided")

  func register(in router: inout CallRouter) {
    typealias Election = V3electionpb.ElectionService
    add(Election.campaign, &router, campaign)
    add(Election.proclaim, &router, proclaim)
    add(Election.leader, &router, leader)
    add(Election.resign, &router, resign)
    router.streaming(Election.observe.path, counters: member.counters(Election.observe)) {
      try await observe($0)
    }
  }

  private func add<Request: ProtobufMessage, Answer: ProtobufMessage>(
    _ method: MethodDescriptor, _ router: inout CallRouter,
    _ body: @escaping @Sendable (Request, SessionCalls) async throws(GRPCStatus) -> Answer
  ) {
    router.unary(method.path, counters: member.counters(method)) { [member, calls] call, bytes in
      guard member.serves(call) else { return }
      call.answer(Request.self, bytes) { request async throws(GRPCStatus) in
        try await body(request, SessionCalls(calls, for: call.caller))
      }
    }
  }

  // MARK: Candidates

  private func campaign(
    _ request: V3electionpb.CampaignRequest, _ session: SessionCalls
  ) async throws(GRPCStatus) -> V3electionpb.CampaignResponse {
    var own = Candidacy(request.name, lease: try await session.lease(request.lease), session)
    let entry = try await own.enter(request.value)
    let leader = V3electionpb.LeaderKey(
      name: request.name, key: own.key, rev: own.contender.revision, lease: own.contender.lease)
    if let earlier = entry.earlier, earlier.value != request.value {
      do throws(GRPCStatus) {
        _ = try await proclaim(.init(leader: leader, value: request.value), session)
      } catch {
        await own.withdraw()
        throw error
      }
    }
    if !entry.isOldest {
      guard try await own.awaitTurn() != nil else { throw Self.notLeader }
    }
    return V3electionpb.CampaignResponse(header: entry.header, leader: leader)
  }

  private func proclaim(
    _ request: V3electionpb.ProclaimRequest, _ session: SessionCalls
  ) async throws(GRPCStatus) -> V3electionpb.ProclaimResponse {
    guard let leader = request.leader else { throw Self.noLeaderKey }
    let lease = try await session.lease(leader.lease)
    let answer = try await session.ask(
      Contender.proclamation(request.value, leader.key, madeAt: leader.rev, lease: lease))
    guard answer.succeeded else { throw Self.notLeader }
    return V3electionpb.ProclaimResponse(header: answer.header)
  }

  private func resign(
    _ request: V3electionpb.ResignRequest, _ session: SessionCalls
  ) async throws(GRPCStatus) -> V3electionpb.ResignResponse {
    guard let leader = request.leader else { throw Self.noLeaderKey }
    // A session is made as in Go, with a lease when none is named, although nothing hangs on it.
    _ = try await session.lease(leader.lease)
    let answer = try await session.ask(
      Contender.withdrawal(of: leader.key, madeAt: leader.rev))
    return V3electionpb.ResignResponse(header: answer.header)
  }

  // MARK: Everybody else

  private func leader(
    _ request: V3electionpb.LeaderRequest, _ session: SessionCalls
  ) async throws(GRPCStatus) -> V3electionpb.LeaderResponse {
    let answer = try await session.ask(Contender.oldest(request.name))
    guard let kv = answer.kvs.first else { throw GRPCStatus(.unknown, "election: no leader") }
    return V3electionpb.LeaderResponse(header: answer.header, kv: kv)
  }

  /// Tells of every leader and of what it proclaims.
  private func observe(_ stream: ServerStream) async throws -> GRPCStatus {
    do throws(EtcdError) { try member.refuseOnLearner() } catch { return GRPCStatus(error) }
    var requests = stream.requests.makeAsyncIterator()
    guard let bytes = try await requests.next() else {
      return GRPCStatus(.internal, "the request is missing")
    }
    let request: V3electionpb.LeaderRequest
    do throws(ProtobufError) { request = try .decode(bytes) } catch {
      return GRPCStatus(.internal, "grpc: error unmarshalling request: \(error)")
    }
    let session = SessionCalls(calls, for: stream.caller, needsLeader: true)
    try await LeaderObserver(name: request.name, session: session).run {
      try await stream.send($0.encoded())
    }
  }
}
