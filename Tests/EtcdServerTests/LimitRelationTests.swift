import EtcdAPI
import EtcdConfig
import EventLoops
import GRPC
import HTTP
import MVCC
import Member
import PeerTransport
import Raft
import Testing

@testable import EtcdServer

/// Limits that depend on each other, in the order of docs/LIMITS.md.
@Suite struct LimitRelationTests {
  private let core = MemberCore.Config(raft: RaftConfig(id: 1))
  private let peers = PeerTransportConfiguration(
    localID: 1, clusterID: 1, peerURLs: [], serverVersion: "3.5.0",
    dial: HTTPClient.dial(.plain))

  /// An entry that was accepted and that no follower takes would stop the cluster for good.
  @Test(arguments: [1_572_864, 10 << 20, 300 << 20, Int.max])
  func whatAClientMaySendAFollowerTakes(_ requestBytes: Int) {
    var config = ServerConfig()
    config.maxRequestBytes = requestBytes
    // The entry, or the message with it, is a little larger than what came.
    let message = EtcdServer.messageBytesMax(config) + Int(Bootstrap.raftMessageBytes)
    #expect(message <= StreamDecoder.messageLimit)
    #expect(message <= PeerTransportConfiguration.postedBytesMax)
    #expect(message <= Int(Int32.max), "protobuf")
  }

  @Test func clientsAndServersAgreeByDefault() {
    let server = EtcdServer.messageBytesMax(ServerConfig())
    #expect(server > ServerConfig().maxRequestBytes, "the refusal is etcd's own")
    #expect(GRPCClientConfiguration().sentMessageBytesMax == server)
    #expect(
      GRPCClientConfiguration().receivedMessageBytesMax
        >= GRPCServerConfiguration().sentMessageBytesMax)
  }

  @Test func everyLoopHasALane() {
    // The core's own and the peers' beside those of clients.
    #expect(EtcdServer.clientLoopsMax + 2 <= RequestIDs.lanesMax)
    #expect(RequestIDs.lanesMax.nonzeroBitCount == 1, "a lane is some bits")
  }

  @Test func whatWaitsElsewhereIsFewerThanWhatMayWait() {
    #expect(LeaseQuestions.queuedMax < core.waitingMax)
    #expect(LeaseQuestions.keysMax < LeaseQuestions.forwardedMax)
    #expect(LeaseQuestions.forwardedMax < LeaseQuestions.queuedMax)
    #expect(ReadWorkers.waitingMax < core.waitingMax)
    #expect(core.appliedWaitsMax < core.waitingMax)
    // A member counts as quiet long before it refuses.
    #expect(CoreInbox.lightWeight * 100 < core.waitingMax && CoreInbox.turnsMax > 0)
  }

  @Test func theBackendIsCommittedBeforeItRefuses() {
    #expect(core.commitBytes * 8 <= core.pendingBytesMax)
    #expect(ServerConfig().maxRequestBytes * 8 <= core.commitBytes)
    // Reads that a loop does itself take no longer than what the core deletes in a turn.
    #expect(ReadWorkers.keysOnLoop <= core.applyStepKeys)
  }

  @Test func aStreamHoldsRaftsWindow() {
    #expect(Bootstrap.raftInflightMessages * 2 <= peers.streamQueueMessages)
    #expect(Int(Bootstrap.raftMessageBytes) * 8 <= peers.streamQueueBytes)
    #expect(peers.streamQueueBytes <= PeerTransportConfiguration.postedBytesMax)
    #expect(peers.pipelineConcurrency <= peers.pipelineQueueMessages)
    #expect(peers.redialInterval * 10 <= peers.readTimeout)
    #expect(peers.probeInterval <= peers.probeReportErrorInterval)
    // `--raft-read-timeout` is never below that; a stream's heartbeat comes three times in it.
    #expect(Duration.milliseconds(ServerConfig().heartbeatInterval) * 10 <= peers.readTimeout / 3)
  }

  @Test func oneAnswerDoesNotFillAConnection() {
    #expect(KVResult.joinedBytesMax <= Watermarks.standard.high)
    #expect(Watermarks.standard.low * 2 <= Watermarks.standard.high)
    let http = HTTPServerLimits()
    #expect(http.discardedBodyBytesMax <= Watermarks.standard.high)
  }

  @Test func windowsContainEachOther() {
    let grpc = GRPCServerConfiguration()
    #expect(grpc.streamWindowBytes >= 65_535, "RFC 9113 §6.9.2")
    #expect(grpc.connectionWindowBytes >= 4 * grpc.streamWindowBytes)
    #expect(grpc.keepaliveTimeout < grpc.keepaliveInterval)
    #expect(grpc.keepaliveMinTime < grpc.keepaliveInterval)
  }

  @Test func timesContainEachOther() {
    let http = HTTPServerLimits()
    #expect(http.headTimeout < http.bodyTimeout && http.bodyTimeout < http.idleTimeout)
    // A read round is asked several times before its readers are told that it failed.
    #expect(core.readRetryTicks * 5 <= core.requestTicks)
    #expect(core.catchUpEntries < core.snapshotCount)
  }

  @Test func aStepOfACompactionFitsIntoABatch() {
    #expect(core.compactionStepKeys <= core.compactionBatchRows)
    #expect(core.compactionBatchRows <= core.commitRows)
  }
}
