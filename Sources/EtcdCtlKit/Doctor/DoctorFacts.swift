import EtcdAPI

/// What was asked of a cluster, for `DoctorChecks` to judge.
struct DoctorFacts: Sendable {
  /// A member as the cluster lists it.
  struct Member: Sendable {
    let id: UInt64
    let name: String
    let clientURLs: [String]
    let isLearner: Bool

    /// What people call it.
    var label: String { name.isEmpty ? String(id, radix: 16) : name }
  }

  /// A certificate, and where it was met.
  struct Certificate: Sendable {
    let what: String
    let commonName: String
    /// Seconds since 1970.
    let notAfter: Int64
  }

  /// What one endpoint said.
  struct Endpoint: Sendable {
    let endpoint: String
    var status: Etcdserverpb.StatusResponse?
    /// The phase and the fix, without a connection or an answer.
    var hint: String?
    /// A read through consensus: how many seconds it took, or why there was none.
    var read: Result<Double, ClientFailure>?
    /// What it shows over TLS.
    var certificate: Certificate?
    /// How many seconds its clock is ahead of this machine's, give or take `clockError`.
    var clockOffset: Double?
    var clockError = 0.0
    var metrics: MetricsText?
    /// Why there are no metrics.
    var metricsProblem: String?

    var memberID: UInt64? { status?.header?.memberID }
  }

  var endpoints: [Endpoint] = []
  var members: [Member] = []
  /// Why there is no list of members, or of alarms.
  var membersProblem: String?
  var alarmsProblem: String?
  var alarms: [Etcdserverpb.AlarmMember] = []
  /// Of this client: what it shows, and whom it trusts.
  var ownCertificates: [Certificate] = []
  /// Seconds since 1970.
  var now: Int64 = 0

  /// What people call the member behind an endpoint.
  func label(_ endpoint: Endpoint) -> String {
    guard let id = endpoint.memberID else { return endpoint.endpoint }
    return label(id)
  }

  func label(_ id: UInt64) -> String {
    members.first { $0.id == id }?.label ?? String(id, radix: 16)
  }

  /// One endpoint of each member that answered.
  var answering: [Endpoint] {
    var seen: Set<UInt64> = []
    return endpoints.filter { $0.memberID.map { seen.insert($0).inserted } ?? false }
  }
}

/// What a check came to.
struct DoctorFinding: Sendable, Equatable {
  /// In this order, the worst last.
  enum Level: Int, Sendable, Comparable {
    case ok
    /// Something that could not be looked at.
    case skipped
    case warning
    case critical

    static func < (a: Level, b: Level) -> Bool { a.rawValue < b.rawValue }

    var name: String {
      switch self {
      case .ok: "ok"
      case .skipped: "skipped"
      case .warning: "warning"
      case .critical: "critical"
      }
    }
  }

  let level: Level
  let check: String
  let message: String
  /// What to do; empty for nothing.
  var advice = ""

  init(_ level: Level, _ check: String, _ message: String, _ advice: String = "") {
    self.level = level
    self.check = check
    self.message = message
    self.advice = advice
  }
}
