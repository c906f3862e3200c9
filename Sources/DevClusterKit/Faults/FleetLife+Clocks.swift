import JSON

/// Members' clocks that are wrong. They belong to the member: one that is started again has the same clock.
///
/// Only our own etcd follows (`Platform/ShiftedClock`): the clock of others cannot be changed without root, because
/// they read it without asking the kernel.
extension FleetLife {
  /// Makes clocks wrong, or right again.
  /// - Returns: the answer for who asked.
  mutating func clock(
    _ offset: Int64, _ order: FaultOrder, _ now: UInt64
  ) throws(DevClusterError) -> JSONObject {
    let places = try places(order.from)
    let names = places.map { members[$0].name }
    if offset == 0 {
      endMemberFaults(of: names) { if case .clock = $0 { true } else { false } }
    } else {
      for place in places { try checkClock(place) }
      begin(order, now) { $0.members = names }
      out.append(.clocks(clockOffsets))
    }
    return ["members": .array(names.map(JSONValue.string))]
  }

  /// - Throws: `DevClusterError` where a member does not follow.
  private func checkClock(_ place: Int) throws(DevClusterError) {
    let life = members[place]
    guard let pid = life.pid else { return }
    guard life.clockFollower == pid else {
      throw DevClusterError(
        "\(life.name) runs a program that reads the system's clock; only our own etcd can be told"
          + " another time")
    }
  }

  /// Nanoseconds that are added to the clocks of members; of two faults of one the later counts.
  var clockOffsets: [String: Int64] {
    var offsets: [String: Int64] = [:]
    for fault in faults {
      guard case .clock(let offset) = fault.order.kind else { continue }
      for name in fault.members { offsets[name] = offset }
    }
    return offsets
  }
}
