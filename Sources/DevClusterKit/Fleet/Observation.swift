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

  /// 64-bit numbers come as texts.
  private static func number<T: FixedWidthInteger>(_ json: JSONValue?, as: T.Type = T.self) -> T? {
    json?.integer(as: T.self) ?? json?.string.flatMap { T($0) }
  }
}
