/// How often things happened in a run.
public struct SimulationCounters: Sendable, Equatable {
  public var events = 0
  public var crashes = 0
  public var snapshotsSent = 0
  public var snapshotsInstalled = 0
  public var repairs = 0
  public var elections = 0
  public var acknowledged = 0
  public var unknown = 0
  public var defragmentations = 0
  public var compactions = 0
  public var leasesRenewed = 0
  public var leasesExpired = 0
  public var locksHeld = 0
  public var authChanges = 0
  public var memberChanges = 0
  public var failedSyncs = 0
  /// Events that clients were sent, and how often one had to begin anew behind a compaction.
  public var watchEvents = 0
  public var watchesCompacted = 0
  /// Requests that were refused, and had to leave no trace.
  public var refused = 0
  /// Damaged disks of which a member did not start, and those on which it did and showed nothing wrong.
  public var damageRefused = 0
  public var damageHarmless = 0
  /// Damaged databases that only the comparison of hashes with other members shows.
  public var damageFoundByHash = 0
  /// Answers of the v2 store.
  public var v2Answers = 0
  /// How often clients came in a life.
  public var bursts = 0
  /// Milliseconds by the clock of the cluster: a member's tick is 100 of them in a seed.
  public var milliseconds = 0
  /// How often each kind of fault happened.
  public var faults: [FaultKind: Int] = [:]

  public init() {}

  /// All counts but those of faults, with their names.
  public static let fields:
    [(name: String, path: any WritableKeyPath<SimulationCounters, Int> & Sendable)] = [
      ("events", \.events), ("crashes", \.crashes), ("snapshots-sent", \.snapshotsSent),
      ("snapshots-installed", \.snapshotsInstalled), ("repairs", \.repairs),
      ("elections", \.elections), ("acknowledged", \.acknowledged), ("unknown", \.unknown),
      ("defragmentations", \.defragmentations), ("compactions", \.compactions),
      ("leases-renewed", \.leasesRenewed), ("leases-expired", \.leasesExpired),
      ("locks-held", \.locksHeld), ("auth-changes", \.authChanges),
      ("member-changes", \.memberChanges), ("failed-syncs", \.failedSyncs),
      ("watch-events", \.watchEvents), ("watches-compacted", \.watchesCompacted),
      ("refused", \.refused), ("damage-refused", \.damageRefused),
      ("damage-harmless", \.damageHarmless), ("damage-found-by-hash", \.damageFoundByHash),
      ("v2-answers", \.v2Answers), ("bursts", \.bursts),
      ("milliseconds", \.milliseconds),
    ]

  /// Sums up runs.
  public static func += (a: inout SimulationCounters, b: SimulationCounters) {
    for field in fields { a[keyPath: field.path] += b[keyPath: field.path] }
    a.faults.merge(b.faults, uniquingKeysWith: +)
  }
}

/// `name=count` for each count that is not 0, separated by spaces.
extension SimulationCounters: CustomStringConvertible {
  public var description: String {
    let counts = Self.fields.map { ($0.name, self[keyPath: $0.path]) }
    let faults = FaultKind.allCases.map { ("fault-" + $0.rawValue, self.faults[$0] ?? 0) }
    return (counts + faults).filter { $0.1 != 0 }.map { "\($0.0)=\($0.1)" }.joined(separator: " ")
  }

  /// Reads what `description` wrote; names that are not known are passed over.
  public init(_ text: some StringProtocol) {
    let paths = Dictionary(uniqueKeysWithValues: Self.fields.map { ($0.name, $0.path) })
    for word in text.split(separator: " ") {
      let parts = word.split(separator: "=")
      guard parts.count == 2, let count = Int(parts[1]), count > 0 else { continue }
      if let path = paths[String(parts[0])] {
        self[keyPath: path] = count
      } else if let kind = FaultKind(rawValue: String(parts[0].dropFirst("fault-".count))) {
        faults[kind] = count
      }
    }
  }
}
