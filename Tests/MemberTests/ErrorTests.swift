import EtcdAPI
import Testing

@testable import Member
@testable import Membership

@Suite struct ErrorTests {
  /// What a change of members gives, as etcd's server translates it for clients.
  @Test(
    arguments: [
      (.idRemoved, .memberNotFound), (.idNotFound, .memberNotFound), (.idExists, .memberExists),
      (.peerURLExists, .peerURLExists), (.memberNotLearner, .memberNotLearner),
      (.tooManyLearners, .tooManyLearners),
    ] as [(MembershipError, EtcdError)])
  func clientsHearOfMembersInEtcdsWords(error: MembershipError, expected: EtcdError) {
    #expect(EtcdError(error) == expected)
  }
}
