import Bytes
import EtcdAPI
import MVCC
import Testing

@testable import Member

/// Alarms as Go's store keeps them.
@Suite struct AlarmSetTests {
  private final class NoRows: CommittedRows {
    func value(_ bucket: Bucket, _ key: Bytes) throws(StoreError) -> Bytes? { nil }
    func scan(
      _ bucket: Bucket, from start: Bytes, _ body: (Bytes, Bytes) -> Bool
    ) throws(StoreError) {}
  }

  /// A corruption that is nobody's is an alarm of member 0, which is a member like another.
  @Test func memberZeroIsNoWildcard() {
    var store = MVCCStore(committed: NoRows())
    var alarms = AlarmSet()
    func apply(
      _ action: Etcdserverpb.AlarmRequest.AlarmAction, _ member: UInt64,
      _ type: Etcdserverpb.AlarmType
    ) -> [UInt64] {
      alarms.apply(
        Etcdserverpb.AlarmRequest(action: action, memberID: member, alarm: type), to: &store
      ).map(\.memberID)
    }
    #expect(apply(.activate, 0, .corrupt) == [0])
    #expect(apply(.activate, 7, .nospace) == [7])
    #expect(apply(.deactivate, 0, .nospace) == [])
    #expect(alarms.isRaised(.nospace))
    #expect(apply(.deactivate, 7, .corrupt) == [])
    #expect(alarms.isRaised(.corrupt))
    #expect(apply(.deactivate, 0, .corrupt) == [0])
    #expect(apply(.deactivate, 7, .nospace) == [7])
    #expect(alarms.all.isEmpty)
  }
}
