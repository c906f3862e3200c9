extension Etcdserverpb.AlarmMember {
  /// The name of the alarm; a number where it has none.
  public var alarmName: String { alarm.protoName ?? "\(alarm.rawValue)" }

  /// The alarm as errors of `Status` and `etcdctl alarm list` have it: `memberID:1 alarm:NOSPACE `, without fields that
  /// are zero.
  /// - Source: golang/protobuf `CompactTextString`, blank at the end included.
  public var text: String {
    (memberID == 0 ? "" : "memberID:\(memberID) ") + (alarm == .none ? "" : "alarm:\(alarmName) ")
  }
}
