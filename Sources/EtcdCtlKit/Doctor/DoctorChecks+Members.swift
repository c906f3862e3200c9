import EtcdAPI
import GoText

/// Checks of single members.
extension DoctorChecks {
  /// The round through consensus that every write and linearizable read makes.
  static func reads(_ facts: DoctorFacts) -> [DoctorFinding] {
    var problems: [DoctorFinding] = []
    var slowest = 0.0
    for endpoint in facts.answering {
      switch endpoint.read {
      case .success(let seconds):
        slowest = Swift.max(slowest, seconds)
        guard seconds > 0.1 else { continue }
        problems.append(
          DoctorFinding(
            .warning, "reads",
            "\(facts.label(endpoint)): a linearizable read took \(time(seconds))",
            "Look at the network between members and at the leader's load."))
      case .failure(let failure) where failure.message == EtcdError.userEmpty.message:
        problems.append(
          DoctorFinding(
            .skipped, "reads", "\(facts.label(endpoint)): asks who reads", "Give --user."))
      case .failure(let failure):
        problems.append(
          DoctorFinding(
            .critical, "reads",
            "\(facts.label(endpoint)): no linearizable read: \(failure.message)",
            "The member answers for itself only: see the leader above."))
      case nil: continue
      }
    }
    guard !facts.answering.isEmpty else { return [] }
    return or(problems, "reads", "the slowest linearizable read took \(time(slowest))")
  }

  /// - Source: etcd's quota; warnings where ours warns.
  static func space(_ facts: DoctorFacts) -> [DoctorFinding] {
    var problems: [DoctorFinding] = []
    for endpoint in facts.answering {
      guard let status = endpoint.status else { continue }
      let (size, used) = (Double(status.dbSize), Double(status.dbSizeInUse))
      let name = facts.label(endpoint)
      if let quota = endpoint.metrics?.value("etcd_server_quota_backend_bytes"), quota > 0,
        size / quota >= 0.8  // checked: floating
      {
        let part = size / quota  // checked: floating
        problems.append(
          DoctorFinding(
            part >= 0.95 ? .critical : .warning, "space",
            "\(name): the database fills \(number(part * 100)) % of its quota "
              + "(\(bytes(size)) of \(bytes(quota)))",
            used < size * 0.7
              ? "`etcdctl defrag` gives \(bytes(size - used)) back."
              : "Compact old revisions and defragment, delete keys, or raise --quota-backend-bytes."
          ))
      } else if size >= 100_000_000, used < size * 0.5 {  // checked: floating
        problems.append(
          DoctorFinding(
            .warning, "space",
            "\(name): \(bytes(used)) of the database's \(bytes(size)) are in use",
            "`etcdctl defrag` gives \(bytes(size - used)) back."))  // checked: floating
      }
    }
    guard !facts.answering.isEmpty else { return [] }
    let largest = facts.answering.compactMap { $0.status?.dbSize }.max() ?? 0
    return or(problems, "space", "the largest database has \(bytes(Double(largest)))")
  }

  /// - Source: etcd's documentation, "fast disks": the 99th percentiles should be below 10 and 25 ms.
  static func disk(_ facts: DoctorFacts) -> [DoctorFinding] {
    var problems: [DoctorFinding] = []
    var seen: [String] = []
    for endpoint in facts.answering {
      let name = facts.label(endpoint)
      guard let metrics = endpoint.metrics else {
        problems.append(
          DoctorFinding(
            .skipped, "disk", "\(name): no metrics: \(endpoint.metricsProblem ?? "not asked")",
            "They may be at --listen-metrics-urls, which this does not know."))
        continue
      }
      let found = [
        ("wal fsync", "etcd_disk_wal_fsync_duration_seconds", 0.01),
        ("backend commit", "etcd_disk_backend_commit_duration_seconds", 0.025),
      ].map { what, metric, limit in
        // A few at the start of a member say nothing.
        (
          what, metrics.distribution(metric).flatMap { $0.count < 100 ? nil : $0.quantile(0.99) },
          limit
        )
      }
      for case (let what, let seconds?, let limit) in found where seconds > limit {
        problems.append(
          DoctorFinding(
            seconds > limit * 10 ? .critical : .warning, "disk",
            "\(name): 99 % of \(what)s take up to \(time(seconds)), \(time(limit)) are good",
            "Give etcd a faster disk, or one that it does not share."))
      }
      seen.append("\(name) \(found.first?.1.map(time) ?? "too few yet")")
    }
    guard !facts.answering.isEmpty else { return [] }
    return or(problems, "disk", "99 % of fsyncs since the start: " + seen.joined(separator: ", "))
  }

  /// File descriptors and heartbeats.
  static func resources(_ facts: DoctorFacts) -> [DoctorFinding] {
    var problems: [DoctorFinding] = []
    let measured = facts.answering.filter { $0.metrics != nil }
    for endpoint in measured {
      let name = facts.label(endpoint)
      guard let metrics = endpoint.metrics else { continue }
      if let open = metrics.value("process_open_fds"),
        let limit = metrics.value("process_max_fds"), limit > 0, open > limit * 0.8
      {
        problems.append(
          DoctorFinding(
            .warning, "resources",
            "\(name): \(number(open)) of \(number(limit)) file descriptors are open",
            "Raise the limit (LimitNOFILE), or find who opens connections."))
      }
      if let late = metrics.value("etcd_server_heartbeat_send_failures_total"), late > 0 {
        problems.append(
          DoctorFinding(
            .warning, "resources", "\(name): sent \(number(late)) heartbeats too late",
            "The member lacks processor time or its disk is slow."))
      }
    }
    guard !measured.isEmpty else { return [] }
    return or(problems, "resources", "file descriptors and heartbeats are in order")
  }

  /// - Source: etcd warns of clocks of peers that differ by a second.
  static func clocks(_ facts: DoctorFacts) -> [DoctorFinding] {
    let known = facts.answering.filter { $0.clockOffset != nil }
    let problems = known.compactMap { endpoint -> DoctorFinding? in
      guard let offset = endpoint.clockOffset, offset.magnitude > 1 + endpoint.clockError else {
        return nil
      }
      return DoctorFinding(
        .warning, "clocks",
        "\(facts.label(endpoint)) is \(time(offset.magnitude)) \(offset > 0 ? "ahead of" : "behind")"
          + " this machine", "Synchronize the clocks (NTP): certificates and tokens go by them.")
    }
    guard !known.isEmpty else { return [] }
    return or(problems, "clocks", "within a second of this machine's")
  }

  /// Those that are shown, and those of this client.
  static func certificates(_ facts: DoctorFacts) -> [DoctorFinding] {
    let now = Double(facts.now)
    var ends: [(name: String, end: Double)] = facts.endpoints.compactMap { endpoint in
      endpoint.certificate.map { ("\($0.what) (\($0.commonName))", Double($0.notAfter)) }
    }
    ends += facts.ownCertificates.map { ("\($0.what) (\($0.commonName))", Double($0.notAfter)) }
    for endpoint in facts.answering {
      for sample in endpoint.metrics?.all("etcd_tls_certificate_expiry_seconds") ?? [] {
        let use = sample.labels["use"] ?? ""
        ends.append(("\(facts.label(endpoint)): \(use)", now + sample.value))  // checked: floating
      }
    }
    guard !ends.isEmpty else { return [] }
    let problems = ends.compactMap { name, end -> DoctorFinding? in
      let days = (end - now) / 86_400  // checked: floating
      guard days < 30 else { return nil }
      let text =
        days < 0 ? "expired \(number(-days)) days ago" : "expires in \(number(days)) days"
      return DoctorFinding(
        days < 7 ? .critical : .warning, "certificates", "\(name) \(text)",
        "Replace the file: members read it again, Go's authorities need a restart.")
    }
    let soonest = ends.map(\.end).min() ?? now
    return or(
      problems, "certificates",
      // checked: floating
      "\(ends.count) looked at, the first expires in \(number((soonest - now) / 86_400)) days")
  }

  static func bytes(_ value: Double) -> String {
    HumanSize.text(UInt64(exactly: value.rounded()) ?? 0)
  }

  /// Seconds for people.
  static func time(_ seconds: Double) -> String {
    if seconds < 0.001 { return "\(number(seconds * 1_000_000)) µs" }
    if seconds < 1 { return "\(EtcdCtl.decimal(seconds * 1000, 1)) ms" }
    return "\(EtcdCtl.decimal(seconds, 1)) s"
  }
}
