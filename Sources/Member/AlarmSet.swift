import Bytes
import EtcdAPI
import MVCC
import Protobuf

/// Alarms raised by members. Replicated; kept in bucket `alarm`.
///
/// - Source: etcd `v3alarm/alarms.go`.
struct AlarmSet: Sendable {
  private var raised: [Etcdserverpb.AlarmMember] = []

  /// All alarms, ordered by type and member.
  var all: [Etcdserverpb.AlarmMember] { raised }

  func isRaised(_ type: Etcdserverpb.AlarmType) -> Bool { raised.contains { $0.alarm == type } }

  mutating func restore(from store: MVCCStore) throws(StoreError) {
    raised = []
    for (key, _) in try store.rows(.alarm) {
      do { insert(try Etcdserverpb.AlarmMember.decode(key)) } catch {
        throw .damaged("alarm row \(key) is not decodable: \(error)")
      }
    }
  }

  private mutating func insert(_ alarm: Etcdserverpb.AlarmMember) {
    raised.append(alarm)
    raised.sort { ($0.alarm.rawValue, $0.memberID) < ($1.alarm.rawValue, $1.memberID) }
  }

  /// Applies a request and returns the alarms it is about.
  mutating func apply(
    _ request: Etcdserverpb.AlarmRequest, to store: inout MVCCStore
  ) -> [Etcdserverpb.AlarmMember] {
    switch request.action {
    case .get:
      return raised.filter { request.alarm == .none || $0.alarm == request.alarm }
    case .activate:
      guard request.alarm != .none else { return [] }
      let alarm = Etcdserverpb.AlarmMember(memberID: request.memberID, alarm: request.alarm)
      if !raised.contains(alarm) {
        insert(alarm)
        store.put(.alarm, alarm.encoded(), Bytes())
      }
      return [alarm]
    case .deactivate:
      // Member 0 is no wildcard: an alarm CORRUPT is raised for it when nobody knows whose data is
      // wrong.
      let gone = raised.filter {
        $0.alarm == request.alarm && $0.memberID == request.memberID
      }
      raised.removeAll { gone.contains($0) }
      for alarm in gone { store.put(.alarm, alarm.encoded(), nil) }
      return gone
    case .unrecognized: return []
    }
  }
}
