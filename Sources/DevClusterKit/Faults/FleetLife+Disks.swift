import DiskFaults
import JSON

/// Faults of members' disks. They belong to the member: one that is started again has the same disk.
extension FleetLife {
  /// Makes a fault of disks, or ends what is there.
  /// - Returns: the answer for who asked.
  mutating func disk(
    _ rule: DiskRule, _ order: FaultOrder, _ now: UInt64
  ) throws(DevClusterError) -> JSONObject {
    let places = try places(order.from)
    let names = places.map { members[$0].name }
    if rule.isClear {
      endMemberFaults(of: names) { if case .disk = $0 { true } else { false } }
    } else {
      for place in places { try checkDisk(place, rule) }
      begin(order, now) { $0.members = names }
      out.append(.disks(diskRules))
    }
    var answer: JSONObject = ["members": .array(names.map(JSONValue.string))]
    if rule.delay > 0 && skipsSync {
      answer["note"] = "members started without syncs do not wait for their disk: slow does nothing"
    }
    return answer
  }

  /// Whether members were told not to have their writes on the disk.
  private var skipsSync: Bool {
    plan.skipsSync
      || (plan.flags + members.flatMap(\.plan.flags)).contains {
        $0.hasPrefix("--unsafe-no-fsync") && !$0.hasSuffix("=false")
      }
  }

  /// - Throws: `DevClusterError` where it cannot be done to this member.
  private func checkDisk(_ place: Int, _ rule: DiskRule) throws(DevClusterError) {
    let life = members[place]
    guard plan.watchesDisks else {
      throw DevClusterError(
        "nothing stands between members and their disks; start the cluster with devcluster up"
          + " --disk-faults")
    }
    switch life.disk {
    case .watched: break
    case .unknown where life.pid == nil: break
    case .unknown: throw DevClusterError("\(life.name) has just been started; try again")
    case .refused(let reason):
      // What a limit on the size of files can do, where that is all there is.
      guard rule == DiskRule(failure: .full), DiskFaults.isSupported else {
        throw DevClusterError(
          "this system does not let devcluster stand before the disk of \(life.name): \(reason)"
            + (DiskFaults.isSupported ? "; only disk WHO full works here" : ""))
      }
    }
  }

  /// Whether a process can be watched is known.
  mutating func diskKnown(_ place: Int, pid: Int32, _ refusal: String?) {
    guard members[place].pid == pid else { return }
    members[place].disk = refusal.map(MemberLife.Disk.refused) ?? .watched
    // A limit on files is of the process.
    if refusal != nil && !diskRules.isEmpty { out.append(.disks(diskRules)) }
  }

  /// What all faults together mean; of two of one kind the later counts.
  var diskRules: [String: DiskRule] {
    var rules: [String: DiskRule] = [:]
    for fault in faults {
      guard case .disk(let rule) = fault.order.kind else { continue }
      for name in fault.members {
        if rule.delay > 0 { rules[name, default: DiskRule()].delay = rule.delay }
        if let failure = rule.failure { rules[name, default: DiskRule()].failure = failure }
      }
    }
    return rules
  }
}
