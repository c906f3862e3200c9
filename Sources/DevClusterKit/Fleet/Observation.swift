import Bytes
import JSON

/// What a member says of itself. Pure.
struct Observation: Sendable, Equatable {
  /// Whether it answers linearizable reads, or is a learner that follows.
  var isHealthy = false
  var id: UInt64 = 0
  /// The ID of whom it takes for the leader; 0 for nobody.
  var leader: UInt64 = 0
  var term: UInt64 = 0
  var raftIndex: UInt64 = 0
  var appliedIndex: UInt64 = 0
  var revision: Int64 = 0
  /// Bytes of the database file, and of what it holds.
  var databaseBytes: Int64 = 0
  var databaseBytesInUse: Int64 = 0
  var version = ""
  var isLearner = false
  /// Alarms and the like.
  var problems: [String] = []

  /// Reads what `POST /v3/maintenance/status` answers; `nil` when it is something else.
  /// - Source: etcd `etcdserverpb.StatusResponse`, as grpc-gateway writes it.
  init?(status json: JSONValue) {
    guard let header = json["header"], let id = Self.number(header["member_id"], as: UInt64.self)
    else { return nil }
    self.id = id
    leader = Self.number(json["leader"]) ?? 0
    term = Self.number(json["raftTerm"]) ?? Self.number(header["raft_term"]) ?? 0
    raftIndex = Self.number(json["raftIndex"]) ?? 0
    appliedIndex = Self.number(json["raftAppliedIndex"]) ?? raftIndex
    revision = Self.number(header["revision"]) ?? 0
    databaseBytes = Self.number(json["dbSize"]) ?? 0
    databaseBytesInUse = Self.number(json["dbSizeInUse"]) ?? 0
    version = json["version"]?.string ?? ""
    isLearner = json["isLearner"]?.bool ?? false
    problems = (json["errors"]?.array ?? []).compactMap(\.string)
  }

  init() {}

  /// The ID of a leader of whom is only known that there is one.
  static let somebody = UInt64.max

  /// Reads the page of metrics, which says less.
  /// - Source: etcd `etcdserver/metrics.go`.
  init(metrics page: Bytes) {
    var hasLeader = false
    for line in page.string.split(separator: "\n") {
      if line == "etcd_server_has_leader 1" { hasLeader = true }
      if line == "etcd_server_is_leader 1" { leader = Self.somebody - 1 }
      if line.hasPrefix("etcd_server_id{server_id=\""), line.hasSuffix("\"} 1") {
        id = UInt64(line.dropFirst(26).dropLast(4), radix: 16) ?? 0
      }
      if line.hasPrefix("etcd_server_version{server_version=\"") {
        version = String(line.dropFirst(36).prefix { $0 != "\"" })
      }
    }
    // Its own ID stands behind the metric that says that it leads.
    leader = !hasLeader ? 0 : leader != 0 && id != 0 ? id : Self.somebody
  }

  /// 64-bit numbers come as texts.
  private static func number<T: FixedWidthInteger>(_ json: JSONValue?, as: T.Type = T.self) -> T? {
    json?.integer(as: T.self) ?? json?.string.flatMap { T($0) }
  }
}
