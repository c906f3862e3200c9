import Calls
import GRPC
import Protobuf
import Testing

@testable import EtcdClient

/// When a failed request is sent again, as in Go's client 3.5.
@Suite struct RetryRulesTests {
  private typealias Case = (code: GRPCCode, message: String)

  private static let range = "/etcdserverpb.KV/Range"
  private static let put = "/etcdserverpb.KV/Put"

  private func step(
    _ path: String, _ code: GRPCCode, _ message: String, endpoints: Int = 1, signsIn: Bool = false,
    isLate: Bool = false
  ) -> RetryRules.Step {
    RetryRules.step(
      path, after: GRPCStatus(code, message),
      .init(endpoints: endpoints, hasCredentials: signsIn, isLate: isLate))
  }

  @Test func onlyWhatGosClientRepeatsIsRepeated() {
    for name in [
      "KV/Range", "Lease/LeaseTimeToLive", "Lease/LeaseLeases", "Lease/LeaseGrant",
      "Lease/LeaseRevoke", "Cluster/MemberList", "Maintenance/Alarm", "Maintenance/Status",
      "Maintenance/Hash", "Maintenance/HashKV", "Maintenance/Snapshot", "Maintenance/MoveLeader",
      "Auth/UserList", "Auth/UserGet", "Auth/RoleGet", "Auth/RoleList",
    ] { #expect(step("/etcdserverpb." + name, .unavailable, "x") == .again, "\(name)") }
    for name in [
      "KV/Put", "KV/DeleteRange", "KV/Txn", "KV/Compact", "Cluster/MemberAdd",
      "Cluster/MemberRemove", "Cluster/MemberUpdate", "Cluster/MemberPromote",
      "Maintenance/Defragment", "Maintenance/Downgrade", "Auth/AuthEnable", "Auth/AuthDisable",
      "Auth/AuthStatus", "Auth/UserAdd", "Auth/UserDelete", "Auth/UserChangePassword",
      "Auth/UserGrantRole", "Auth/UserRevokeRole", "Auth/RoleAdd", "Auth/RoleDelete",
      "Auth/RoleGrantPermission", "Auth/RoleRevokePermission", "Auth/Authenticate",
    ] { #expect(step("/etcdserverpb." + name, .unavailable, "x") == .giveUp, "\(name)") }
  }

  @Test func refusalsAreFinal() {
    for (code, message) in [
      (.permissionDenied, "etcdserver: permission denied"),
      (.outOfRange, "etcdserver: mvcc: required revision has been compacted"),
      (.notFound, "etcdserver: requested lease not found"), (.internal, "x"), (.unknown, "x"),
      (.resourceExhausted, "etcdserver: too many requests"), (.unimplemented, "x"),
      (.unavailable, "etcdserver: rpc not supported for learner"),
    ] as [Case] {
      #expect(step(Self.put, code, message) == .giveUp, "\(message)")
      if code != .unavailable { #expect(step(Self.range, code, message) == .giveUp, "\(message)") }
    }
  }

  /// Whatever the request asks for: a server that refuses a token has done nothing.
  @Test func aNewTokenIsAskedFor() {
    for (code, message) in [
      (.unauthenticated, "etcdserver: invalid auth token"),
      (.invalidArgument, "etcdserver: revision of auth store is old"),
    ] as [Case] {
      for path in [Self.range, Self.put] {
        #expect(step(path, code, message, signsIn: true) == .signInAgain)
        // The user of a certificate has no token, and its auth revision is new the next time.
        #expect(step(path, code, message) == .again)
      }
      #expect(step(RetryRules.authenticate, code, message, signsIn: true) == .again)
    }
    let empty = "etcdserver: user name is empty"
    #expect(step(Self.put, .invalidArgument, empty, signsIn: true) == .signInAgain)
    #expect(step(Self.put, .invalidArgument, empty) == .giveUp)
    #expect(step(RetryRules.authenticate, .invalidArgument, empty, signsIn: true) == .giveUp)
  }

  @Test func timeDecides() {
    for code in [GRPCCode.deadlineExceeded, .cancelled] {
      for path in [Self.range, Self.put] {
        #expect(step(path, code, "x", isLate: true) == .giveUp)
        #expect(step(path, code, "x") == .again)
      }
    }
  }

  @Test func learnersPassARequestOn() {
    let message = "etcdserver: rpc not supported for learner"
    #expect(step(Self.put, .unavailable, message, endpoints: 2) == .again)
    #expect(step(Self.put, .failedPrecondition, message, endpoints: 1) == .giveUp)
  }

  @Test func pausesFollowRoundsOverAQuorum() {
    func pauses(_ endpoints: Int, _ chance: Double) -> [Duration] {
      (0..<5).map { RetryRules.pause(before: $0, endpoints: endpoints, chance: chance) }
    }
    let pause = Duration.milliseconds(25)
    #expect(pauses(1, 0) == [.zero, pause, pause, pause, pause])
    #expect(pauses(3, 0) == [.zero, .zero, pause, .zero, pause])
    #expect(pauses(5, 0) == [.zero, .zero, .zero, pause, .zero])
    #expect(pauses(1, 1)[1] > .milliseconds(27) && pauses(1, -1)[1] < .milliseconds(23))
    #expect(RetryRules.attemptsMax == 100)
  }
}
