import EtcdAPI
import GoText

/// Judges what a cluster said of itself: pure, findings in the order in which they are shown.
///
/// Limits are those that etcd's documentation gives (hardware, tuning), and those at which members refuse.
enum DoctorChecks {
  static func findings(_ facts: DoctorFacts) -> [DoctorFinding] {
    let checks: [(DoctorFacts) -> [DoctorFinding]] = [
      endpoints, members, leader, stability, versions, lag, alarms, reads, space, disk, resources,
      clocks, certificates,
    ]
    return checks.flatMap { $0(facts) }
  }

  /// 0 when all is well, 1 for warnings, 2 for what is broken: as monitoring plugins do.
  static func exitCode(_ findings: [DoctorFinding]) -> Int32 {
    switch findings.map(\.level).max() {
    case .critical: 2
    case .warning: 1
    default: 0
    }
  }

  /// Problems, or else that there are none.
  static func or(_ problems: [DoctorFinding], _ check: String, _ fine: String) -> [DoctorFinding] {
    problems.isEmpty ? [DoctorFinding(.ok, check, fine)] : problems
  }

  // MARK: the cluster

  private static func endpoints(_ facts: DoctorFacts) -> [DoctorFinding] {
    let silent = facts.endpoints.filter { $0.status == nil }
    let problems = silent.map { endpoint in
      DoctorFinding(
        .critical, "endpoints", "\(endpoint.endpoint) does not answer", endpoint.hint ?? "")
    }
    return or(problems, "endpoints", "\(facts.endpoints.count) of \(facts.endpoints.count) answer")
  }

  private static func members(_ facts: DoctorFacts) -> [DoctorFinding] {
    if let problem = facts.membersProblem {
      return [DoctorFinding(.critical, "members", "no list of members: \(problem)")]
    }
    let reached = Set(facts.endpoints.compactMap(\.memberID))
    let voters = facts.members.filter { !$0.isLearner }
    let alive = voters.count { reached.contains($0.id) }
    let majority = voters.count / 2 + 1
    var problems: [DoctorFinding] = []
    let clusters = Set(facts.endpoints.compactMap { $0.status?.header?.clusterID })
    if clusters.count > 1 {
      problems.append(
        DoctorFinding(
          .critical, "members", "the endpoints are of \(clusters.count) clusters",
          "Give --endpoints of one cluster."))
    }
    for member in facts.members where member.name.isEmpty {
      problems.append(
        DoctorFinding(
          .warning, "members", "\(member.label) was added and has never started",
          "Start it with --initial-cluster-state existing, or `etcdctl member remove \(member.label)`."
        ))
    }
    if alive < voters.count {
      let text = "\(alive) of \(voters.count) voting members answer, \(majority) are needed"
      problems.append(
        alive < majority
          ? DoctorFinding(
            .critical, "members", text,
            "Nothing can be written: start members, or restore from a snapshot if they are lost.")
          : DoctorFinding(
            .warning, "members", text,
            alive == majority
              ? "One more failure stops the cluster." : "Start the others, or replace them."))
    } else if voters.count == 2 {
      problems.append(
        DoctorFinding(
          .warning, "members", "2 voting members stop when either fails", "Add a third member."))
    }
    let learners = facts.members.count - voters.count
    return or(
      problems, "members",
      "\(voters.count) voting" + (learners > 0 ? ", \(learners) learning" : "")
        + ", \(majority) needed")
  }

  private static func leader(_ facts: DoctorFacts) -> [DoctorFinding] {
    var problems: [DoctorFinding] = []
    var leaders: [UInt64: [String]] = [:]
    for endpoint in facts.answering {
      guard let status = endpoint.status else { continue }
      leaders[status.leader, default: []].append(facts.label(endpoint))
    }
    guard !leaders.isEmpty else { return [] }
    if let without = leaders.removeValue(forKey: 0) {
      problems.append(
        DoctorFinding(
          .critical, "leader", "\(without.sorted().joined(separator: ", ")): no leader",
          "See that a majority of the members runs and reaches each other's peer URLs."))
    }
    if leaders.count > 1 {
      let said = leaders.map {
        "\($0.value.sorted().joined(separator: ", ")): \(facts.label($0.key))"
      }
      problems.append(
        DoctorFinding(
          .warning, "leader", "members differ: \(said.sorted().joined(separator: "; "))",
          "An election may be under way; when it stays so, members cannot reach each other."))
    }
    let terms = facts.answering.compactMap { $0.status?.raftTerm }.max() ?? 0
    return or(
      problems, "leader", "\(leaders.first.map { facts.label($0.key) } ?? "none"), term \(terms)")
  }

  /// - Source: etcd `etcd_server_leader_changes_seen_total`, of which etcd's own alerts allow three in 15 minutes.
  private static func stability(_ facts: DoctorFacts) -> [DoctorFinding] {
    var problems: [DoctorFinding] = []
    var isAny = false
    for endpoint in facts.answering {
      guard let metrics = endpoint.metrics,
        let changes = metrics.value("etcd_server_leader_changes_seen_total"),
        let start = metrics.value("process_start_time_seconds")
      else { continue }
      isAny = true
      let hours = Swift.max(1, (Double(facts.now) - start) / 3600)  // checked: floating
      // The first election is one of them.
      let rate = (changes - 1) / hours  // checked: floating
      guard rate > 3 else { continue }
      problems.append(
        DoctorFinding(
          .warning, "leader stability",
          "\(facts.label(endpoint)) saw \(number(changes)) changes of leader in \(number(hours)) h",
          "Look at fsync times, at the network between members, and at --heartbeat-interval and "
            + "--election-timeout."))
    }
    guard isAny else { return [] }
    return or(problems, "leader stability", "no frequent elections")
  }

  private static func versions(_ facts: DoctorFacts) -> [DoctorFinding] {
    var found: [String: [String]] = [:]
    for endpoint in facts.answering {
      found[endpoint.status?.version ?? "", default: []].append(facts.label(endpoint))
    }
    guard !found.isEmpty else { return [] }
    let text = found.sorted { $0.key < $1.key }
      .map { "\($0.key) (\($0.value.sorted().joined(separator: ", ")))" }.joined(separator: "; ")
    let minors = Set(found.keys.map { $0.split(separator: ".").prefix(2).joined(separator: ".") })
    if minors.count > 1 {
      return [
        DoctorFinding(
          .warning, "versions", text, "Finish the upgrade: members of two versions are for a while."
        )
      ]
    }
    return [DoctorFinding(.ok, "versions", text)]
  }

  /// What a member applies behind the leader.
  /// - Source: etcd refuses proposals from 5,000 entries on (`maxGapBetweenApplyAndCommitIndex`).
  private static func lag(_ facts: DoctorFacts) -> [DoctorFinding] {
    let newest = facts.answering.compactMap { $0.status?.raftIndex }.max() ?? 0
    var problems: [DoctorFinding] = []
    for endpoint in facts.answering {
      guard let applied = endpoint.status?.raftAppliedIndex, newest > applied else { continue }
      let behind = newest - applied  // checked: above
      guard behind >= 1000 else { continue }
      problems.append(
        DoctorFinding(
          behind >= 5000 ? .critical : .warning, "raft lag",
          "\(facts.label(endpoint)) is \(behind) entries behind",
          "Look at its disk and its network; a member that was away catches up by itself."))
    }
    guard newest > 0 else { return [] }
    return or(problems, "raft lag", "nobody is 1000 entries behind")
  }

  private static func alarms(_ facts: DoctorFacts) -> [DoctorFinding] {
    if let problem = facts.alarmsProblem {
      return [DoctorFinding(.skipped, "alarms", "no list of alarms: \(problem)")]
    }
    let problems = facts.alarms.map { alarm in
      let who = alarm.memberID == 0 ? "the cluster" : facts.label(alarm.memberID)
      let advice =
        switch alarm.alarm {
        case .nospace:
          "Compact, `etcdctl defrag --cluster`, then `etcdctl alarm disarm`; or raise "
            + "--quota-backend-bytes."
        case .corrupt:
          "Compare `etcdctl endpoint hashkv --cluster`; replace the member that is alone with its hash."
        default: "See `etcdctl alarm list`."
        }
      return DoctorFinding(
        .critical, "alarms", "\(alarm.alarm.protoName ?? "UNKNOWN") of \(who)", advice)
    }
    return or(problems, "alarms", "none")
  }

  /// A number for people.
  static func number(_ value: Double) -> String {
    // checked: what is too large for a number of ours is shown as it is
    Int(exactly: value.rounded()).map { "\($0)" } ?? "\(value)"
  }
}
