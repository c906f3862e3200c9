import Bytes
import Calls
import EtcdAPI
import EtcdConfig
import EventLoops
import Protobuf
import TestSupport
import Testing

@testable import EtcdServer

/// v3electionpb.Election without a connection.
@Suite(.timeLimit(.minutes(5))) struct ElectionTests {
  private typealias Election = V3electionpb.ElectionService
  private typealias KV = Etcdserverpb.KVService
  private typealias Lease = Etcdserverpb.LeaseService

  private static let notLeader = GRPCStatus(.unknown, "election: not leader")

  private func withLeases(
    _ body: @escaping @Sendable (ServerUnderTest) async throws -> Void
  ) async throws {
    try await withServer { server in
      for id in 1...3 as ClosedRange<Int64> {
        let _: Etcdserverpb.LeaseGrantResponse = try await server.ask(
          Lease.leaseGrant, Etcdserverpb.LeaseGrantRequest(ttl: 1_000, id: id))
      }
      try await body(server)
    }
  }

  private static func campaign(_ lease: Int64, _ value: Bytes) -> V3electionpb.CampaignRequest {
    V3electionpb.CampaignRequest(name: "l", lease: lease, value: value)
  }

  @Test func leadersFollowEachOther() async throws {
    try await withLeases { server in
      let first: V3electionpb.CampaignResponse = try await server.ask(
        Election.campaign, Self.campaign(1, "a"))
      let key = try #require(first.leader)
      #expect(key == .init(name: "l", key: "l/1", rev: first.header?.revision ?? 0, lease: 1))
      try await server.during(
        Election.campaign.path, Self.campaign(2, "b").encoded()
      ) { waiting in
        try await server.awaitKeys(2)
        let leader: V3electionpb.LeaderResponse = try await server.ask(
          Election.leader, V3electionpb.LeaderRequest(name: "l"))
        #expect(leader.kv?.value == "a")
        let _: V3electionpb.ProclaimResponse = try await server.ask(
          Election.proclaim, V3electionpb.ProclaimRequest(leader: key, value: "a2"))
        #expect(waiting.isOpen)
        let _: V3electionpb.ResignResponse = try await server.ask(
          Election.resign, V3electionpb.ResignRequest(leader: key))
        #expect(await waiting.ended() == .ok)
        let second = try V3electionpb.CampaignResponse.decode(
          try #require(waiting.messages.first))
        #expect(second.leader?.key == "l/2")
        #expect(second.leader?.rev == second.header?.revision)
        await #expect(throws: Self.notLeader) {
          try await server.unary(
            Election.proclaim.path,
            V3electionpb.ProclaimRequest(leader: key, value: "late").encoded())
        }
        // Who does not lead may resign all the same.
        let _: V3electionpb.ResignResponse = try await server.ask(
          Election.resign, V3electionpb.ResignRequest(leader: key))
        let now: V3electionpb.LeaderResponse = try await server.ask(
          Election.leader, V3electionpb.LeaderRequest(name: "l"))
        #expect(now.kv?.value == "b")
      }
    }
  }

  /// A second campaign of a session proclaims its value.
  @Test func aLeaderThatCampaignsProclaims() async throws {
    try await withLeases { server in
      let first: V3electionpb.CampaignResponse = try await server.ask(
        Election.campaign, Self.campaign(1, "a"))
      let again: V3electionpb.CampaignResponse = try await server.ask(
        Election.campaign, Self.campaign(1, "b"))
      #expect(again == first)
      let leader: V3electionpb.LeaderResponse = try await server.ask(
        Election.leader, V3electionpb.LeaderRequest(name: "l"))
      #expect(leader.kv?.value == "b")
      #expect(leader.kv?.version == 2)
    }
  }

  @Test func aCandidateWhoseSessionExpiredDoesNotLead() async throws {
    try await withLeases { server in
      let _: V3electionpb.CampaignResponse = try await server.ask(
        Election.campaign, Self.campaign(1, "a"))
      try await server.during(
        Election.campaign.path, Self.campaign(2, "b").encoded()
      ) { waiting in
        try await server.awaitKeys(2)
        let _: Etcdserverpb.LeaseRevokeResponse = try await server.ask(
          Lease.leaseRevoke, Etcdserverpb.LeaseRevokeRequest(id: 2))
        #expect(await waiting.ended() == Self.notLeader)
      }
    }
  }

  @Test func badRequestsAreRefusedAsInGo() async throws {
    let missing = GRPCStatus(.unknown, "\"leader\" field must be provided")
    let cases: [(MethodDescriptor, GRPCStatus)] = [
      (Election.leader, GRPCStatus(.unknown, "election: no leader")),
      (Election.proclaim, missing), (Election.resign, missing),
    ]
    try await withServer { server in
      for (method, status) in cases {
        await #expect(throws: status) { try await server.unary(method.path, Bytes()) }
      }
      await #expect(throws: GRPCStatus(.unknown, "etcdserver: key is not provided")) {
        try await server.unary(
          Election.resign.path, V3electionpb.ResignRequest(leader: .init(lease: 1)).encoded())
      }
    }
  }

  @Test func observersAreToldInOrder() async throws {
    try await withLeases { server in
      let told = try await server.stream(Election.observe.path) { stream in
        stream.request(V3electionpb.LeaderRequest(name: "l").encoded())
        stream.endRequests()
        let first: V3electionpb.CampaignResponse = try await server.ask(
          Election.campaign, Self.campaign(1, "a"))
        _ = await stream.received(1)
        let key = try #require(first.leader)
        for value in ["b", "c"] as [Bytes] {
          let _: V3electionpb.ProclaimResponse = try await server.ask(
            Election.proclaim, V3electionpb.ProclaimRequest(leader: key, value: value))
        }
        _ = await stream.received(3)
        // History that nobody needs goes.
        let put: Etcdserverpb.PutResponse = try await server.ask(
          KV.put, Etcdserverpb.PutRequest(key: "other"))
        let _: Etcdserverpb.CompactionResponse = try await server.ask(
          KV.compact, Etcdserverpb.CompactionRequest(revision: put.header?.revision ?? 0))
        let _: V3electionpb.ResignResponse = try await server.ask(
          Election.resign, V3electionpb.ResignRequest(leader: key))
        let _: V3electionpb.CampaignResponse = try await server.ask(
          Election.campaign, Self.campaign(2, "d"))
        return try await stream.received(4).map { try V3electionpb.LeaderResponse.decode($0) }
      }
      #expect(told.map { $0.kv?.value } == ["a", "b", "c", "d"])
      #expect(told.allSatisfy { ($0.header?.revision ?? 0) >= ($0.kv?.modRevision ?? .max) })
    }
  }

  /// Everything is done with the rights of whoever calls, also what is done when it gives up.
  @Test func rightsAreThoseOfTheCaller() async throws {
    var config = ServerConfig()
    config.bcryptCost = 4
    try await withServer(config) { server in
      typealias Auth = Etcdserverpb.AuthService
      try await server.addUsers(["root", "alice", "bob"])
      try await server.alter(
        Auth.roleGrantPermission,
        Etcdserverpb.AuthRoleGrantPermissionRequest(
          name: "alice", perm: .init(permType: .readwrite, key: "l/", rangeEnd: "l0")))
      for id in 1...2 as ClosedRange<Int64> {
        try await server.alter(Lease.leaseGrant, Etcdserverpb.LeaseGrantRequest(ttl: 1_000, id: id))
      }
      try await server.alter(Auth.authEnable, Etcdserverpb.AuthEnableRequest())
      func caller(_ user: String) async throws -> Caller {
        let signedIn: Etcdserverpb.AuthenticateResponse = try await server.ask(
          Auth.authenticate, Etcdserverpb.AuthenticateRequest(name: user, password: "x"))
        return Caller(metadata: ["token": signedIn.token, "hasleader": "true"])
      }
      let (alice, bob) = (try await caller("alice"), try await caller("bob"))
      let request = Self.campaign(1, "a")
      for (caller, text) in [
        (bob, "etcdserver: permission denied"),
        (Caller(metadata: [:]), "etcdserver: user name is empty"),
      ] {
        await #expect(throws: GRPCStatus(.unknown, text)) {
          try await server.unary(Election.campaign.path, request.encoded(), caller)
        }
        let observed = try await server.stream(Election.observe.path, caller) { stream in
          stream.request(V3electionpb.LeaderRequest(name: "l").encoded())
          return await stream.ended()
        }
        #expect(observed == GRPCStatus(.unknown, text))
      }
      let leading: V3electionpb.CampaignResponse = try await server.ask(
        Election.campaign, request, alice)
      #expect(leading.leader?.key == "l/1")
      try await server.during(
        Election.campaign.path, Self.campaign(2, "b").encoded(), alice
      ) { waiting in
        try await server.awaitKeys(2, alice)
        waiting.cancel()
        try await server.awaitKeys(1, alice)
      }
    }
  }
}
