import EtcdAPI
import Protobuf
import Testing

@testable import EtcdServer

/// Other peer URLs make nobody a voter.
/// - Source: etcd issue 21736.
@Suite(.timeLimit(.minutes(5))) struct MemberUpdateTests {
  private typealias Cluster = Etcdserverpb.ClusterService

  @Test func aLearnerStaysALearner() async throws {
    try await withServer { server in
      let added: Etcdserverpb.MemberAddResponse = try await server.ask(
        Cluster.memberAdd,
        Etcdserverpb.MemberAddRequest(peerURLs: ["http://127.0.0.1:1"], isLearner: true))
      let id = try #require(added.member?.id)
      let updated: Etcdserverpb.MemberUpdateResponse = try await server.ask(
        Cluster.memberUpdate,
        Etcdserverpb.MemberUpdateRequest(id: id, peerURLs: ["http://127.0.0.1:2"]))
      let member = try #require(updated.members.first { $0.id == id })
      #expect(member.isLearner && member.peerURLs == ["http://127.0.0.1:2"])
    }
  }
}
