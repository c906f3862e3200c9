import Auth
import Bytes
import EtcdAPI
import EventLoops
import GoText
import MVCC
import Member
import Protobuf

/// When the steps of a read were done, in monotonic nanoseconds.
struct ReadTimes: Sendable {
  let started: UInt64
  /// When the members had agreed about the state; `nil` when they were not asked.
  var agreed: UInt64?
  /// When the keys were found.
  var found: UInt64?
}

/// What a read gave, for the log.
struct ReadSummary: Sendable {
  let revision: Int64
  /// Pairs, or of a transaction those of each response.
  let counts: [Int]
  let bytes: Int

  /// - Parameter bytes: of the answer.
  init(_ result: KVResult, bytes: Int) {
    revision = result.revision
    self.bytes = bytes
    switch result {
    case .range(let range): counts = [range.rows.count]
    case .txn(_, _, let responses):
      counts = responses.map { if case .range(let range) = $0 { range.rows.count } else { 0 } }
    default: counts = []
    }
    isRange = if case .range = result { true } else { false }
  }

  private let isRange: Bool

  /// What a trace says of it.
  fileprivate var detail: String {
    let count = isRange ? "response_count:\(counts[0])" : "number_of_response:\(counts.count)"
    return "\(count); response_revision:\(revision); "
  }
}

/// Lines about a read that took long: that it did, and where the time went.
///
/// - Source: etcd 3.5 `etcdserver/util.go` warnOfExpensiveReadOnlyRangeRequest and …TxnRequest; `traceutil/trace.go`
///   with the steps of `v3_server.go`. Index and backend are one step here.
struct SlowRead {
  let times: ReadTimes
  let end: UInt64
  let outcome: Result<ReadSummary, EtcdError>

  var took: Duration { .nanoseconds(Int64(clamping: end &- times.started)) }

  /// The time that is warned of: a transaction's without the agreement, as in etcd.
  func warned(_ query: some ReadQuery) -> Duration {
    let start = query.isWarnedOfAgreement ? times.started : times.agreed ?? times.started
    return .nanoseconds(Int64(clamping: end &- start))
  }

  /// The fields of the line that warns.
  func warning(_ query: some ReadQuery, expected: Duration) -> [LogField] {
    var response = ""
    if case .success(let summary) = outcome {
      response = "\(query.counted(summary.counts)) size:\(summary.bytes)"
    }
    var fields = [
      LogField("took", .duration(warned(query))),
      LogField("expected-duration", .duration(expected)),
      LogField("prefix", .string(query.kind)), LogField("request", .string(query.text)),
      LogField("response", .string(response)),
    ]
    if case .failure(let error) = outcome {
      fields.append(LogField("error", .string(error.message)))
    }
    return fields
  }

  /// What the trace tells.
  func trace(_ query: some ReadQuery) -> RequestTrace {
    var detail = query.detail
    if case .success(let summary) = outcome { detail += summary.detail }
    var trace = RequestTrace(operation: query.operation, detail: detail, started: times.started)
    if let agreed = times.agreed {
      trace.steps.append(("agreement among raft nodes before linearized reading", agreed))
    }
    if let found = times.found {
      trace.steps.append(("range keys from in-memory index tree", found))
    }
    trace.steps.append(("assemble the response", end))
    return trace
  }
}

/// A change on its way through the log, as far as its trace needs it: its key is left out, for what a client sent is
/// not kept until its answer.
struct TracedWrite {
  let field: RaftRequest.Field
  let bytes: Int
  /// Monotonic nanoseconds.
  let started: UInt64

  /// - Parameter revision: of the answer.
  /// - Returns: `nil` for requests that etcd does not trace.
  func trace(revision: Int64, end: UInt64) -> RequestTrace? {
    let (operation, known): (String, String)
    switch field {
    case .put: (operation, known) = ("put", "req_size:\(bytes); ")
    case .txn: (operation, known) = ("transaction", "read_only:false; ")
    case .compaction: (operation, known) = ("compact", "")
    default: return nil
    }
    var trace = RequestTrace(
      operation: operation, detail: known + "response_revision:\(revision); ", started: started)
    trace.steps.append(("process raft request", end))
    return trace
  }
}

/// A line that tells where the time of a request went.
///
/// - Source: etcd 3.5 `traceutil/trace.go` LogIfLong.
struct RequestTrace {
  let operation: String
  /// `name:value; ` for each thing known.
  let detail: String
  /// Monotonic nanoseconds.
  let started: UInt64
  /// What was done, and when it was done.
  var steps: [(name: String, at: UInt64)] = []

  /// Requests up to this are not traced.
  /// - Source: etcd `v3_server.go` traceThreshold.
  static let thresholdNanoseconds: UInt64 = 100_000_000

  /// Writes it, unless the request was quick.
  /// - Parameter now: nanoseconds since 1970.
  func write(to logger: Logger, end: UInt64, now: Int64) {
    guard end &- started > Self.thresholdNanoseconds, logger.isEnabled(.info) else { return }
    let number = Int32.random(in: 0...Int32.max)
    // Steps that took less than their share are left out.
    let share = Duration.nanoseconds(Int64(Self.thresholdNanoseconds)) / (steps.count + 1)
    var told: [String] = []
    var last = started
    for (name, at) in steps {
      let spent = Duration.nanoseconds(Int64(clamping: at &- last))
      last = at
      guard spent > share else { continue }
      told.append("trace[\(number)] '\(name)'  (duration: \(spent.goDescription))")
    }
    let took = Int64(clamping: end &- started)
    logger.info(
      "trace[\(number)] \(operation)",
      [
        LogField("detail", .string("{\(detail)}")),
        LogField("duration", .duration(.nanoseconds(took))),
        LogField("start", .string(Self.text(now &- took))),
        LogField("end", .string(Self.text(now))), LogField("steps", .strings(told)),
        LogField("step_count", .int(told.count)),
      ])
  }

  private static func text(_ time: Int64) -> String {
    CivilTime(nanosecondsSinceEpoch: time).rfc3339(fraction: .microseconds)
  }
}

/// What is asked of a state without changing it: a range, or a transaction that only reads.
protocol ReadQuery: Sendable {
  /// - Throws: what the caller lacks.
  func check(_ auth: AuthStore, _ caller: AuthInfo) throws(EtcdError)
  /// - Parameter budget: keys to look at, at most. - Returns: `nil` when they are not enough.
  func read(_ snapshot: StoreSnapshot, within budget: inout Int) throws(StoreError) -> KVResult?
  /// Reads however much it takes.
  func read(_ snapshot: StoreSnapshot) throws(StoreError) -> KVResult

  /// As the log calls the request: `read-only range `.
  var kind: String { get }
  /// As traces call it.
  var operation: String { get }
  /// The request in Protobuf's text form.
  var text: String { get }
  /// What a trace says of the request.
  var detail: String { get }
  var isWarnedOfAgreement: Bool { get }
  /// What the log says of how many pairs the responses have.
  func counted(_ counts: [Int]) -> String
}

extension Etcdserverpb.RangeRequest: ReadQuery {
  func check(_ auth: AuthStore, _ caller: AuthInfo) throws(EtcdError) {
    try auth.check(self, caller)
  }
  func read(
    _ snapshot: StoreSnapshot, within budget: inout Int
  ) throws(StoreError) -> KVResult? {
    try snapshot.range(self, within: &budget).map { .range($0) }
  }
  func read(_ snapshot: StoreSnapshot) throws(StoreError) -> KVResult {
    .range(try snapshot.range(self))
  }

  var kind: String { "read-only range " }
  var operation: String { "range" }
  var isWarnedOfAgreement: Bool { true }
  var text: String { ProtobufText.text(self) }
  var detail: String {
    "range_begin:\(ProtobufText.shown(key)); range_end:\(ProtobufText.shown(rangeEnd)); "
  }
  func counted(_ counts: [Int]) -> String { "range_response_count:\(counts.first ?? 0)" }
}

extension Etcdserverpb.TxnRequest: ReadQuery {
  func check(_ auth: AuthStore, _ caller: AuthInfo) throws(EtcdError) {
    try auth.check(self, LeaseTable(), caller)
  }
  func read(
    _ snapshot: StoreSnapshot, within budget: inout Int
  ) throws(StoreError) -> KVResult? {
    try snapshot.read(self, within: &budget)
  }
  func read(_ snapshot: StoreSnapshot) throws(StoreError) -> KVResult {
    try snapshot.read(self)
  }

  var kind: String { "read-only txn " }
  var operation: String { "transaction" }
  var isWarnedOfAgreement: Bool { false }
  var text: String { ProtobufText.text(self) }
  var detail: String { "read_only:true; " }
  func counted(_ counts: [Int]) -> String {
    let each = counts.map { "range_response_count:\($0)" }.joined(separator: " ")
    return "responses:<\(each)>"
  }
}
