import Bytes
import CommandLineTool
import EtcdAPI
import JSON

/// How members between two looks are shown.
enum TopReport {
  private struct Column: Sendable {
    let name: String
    /// Name in JSON and fields, with the unit.
    let key: String
    let value: @Sendable (TopRow) -> Double?
    let text: @Sendable (Double) -> String
  }

  private static let columns: [Column] = [
    Column(name: "req/s", key: "requestsPerSecond", value: { $0.requests }, text: rate),
    Column(name: "put/s", key: "putsPerSecond", value: { $0.puts }, text: rate),
    Column(name: "range/s", key: "rangesPerSecond", value: { $0.ranges }, text: rate),
    Column(name: "txn/s", key: "transactionsPerSecond", value: { $0.transactions }, text: rate),
    Column(name: "apply p99", key: "applyP99Seconds", value: { $0.apply }, text: DoctorChecks.time),
    Column(name: "fsync p99", key: "fsyncP99Seconds", value: { $0.fsync }, text: DoctorChecks.time),
    Column(name: "watchers", key: "watchers", value: { $0.watchers }, text: DoctorChecks.number),
    Column(
      name: "slow", key: "slowWatchers", value: { $0.slowWatchers }, text: DoctorChecks.number),
    Column(
      name: "pending", key: "proposalsPending", value: { $0.pending }, text: DoctorChecks.number),
    Column(name: "lag", key: "lagEntries", value: { $0.lag }, text: DoctorChecks.number),
    Column(name: "db", key: "dbSizeBytes", value: { $0.size }, text: DoctorChecks.bytes),
    Column(
      name: "in use", key: "dbSizeInUseBytes", value: { $0.sizeInUse }, text: DoctorChecks.bytes),
    Column(name: "memory", key: "residentBytes", value: { $0.memory }, text: DoctorChecks.bytes),
    Column(
      name: "cpu", key: "processors", value: { $0.processors }, text: { EtcdCtl.decimal($0, 2) }),
  ]

  private static func rate(_ value: Double) -> String {
    value < 10 ? EtcdCtl.decimal(value, 1) : DoctorChecks.number(value)
  }

  /// Counts without a fraction.
  private static func plain(_ value: Double) -> String {
    Int64(exactly: value).map { "\($0)" } ?? "\(value)"
  }

  private static func cells(_ row: TopRow) -> [String] {
    [row.endpoint, row.role] + columns.map { column in column.value(row).map(column.text) ?? "-" }
  }

  private static let header = ["member", "role"] + columns.map(\.name)

  static func views(_ rows: [TopRow]) -> Views {
    Views(
      simple: { out in out.append(text(rows)) },
      json: {
        .array(
          rows.map { row in
            var object = GoObject()
            object.always("endpoint", .string(row.endpoint))
            object.always("role", .string(row.role))
            for column in columns {
              guard let value = column.value(row), value.isFinite else { continue }
              object.always(column.key, .number(plain(value)))
            }
            object.text("error", row.problem)
            return object.json
          })
      },
      fields: { text in
        for row in rows {
          text.quoted("Endpoint", row.endpoint)
          text.quoted("Role", row.role)
          for column in columns {
            if let value = column.value(row) { text.plain(column.key, plain(value)) }
          }
          if !row.problem.isEmpty { text.quoted("Error", row.problem) }
          text.line()
        }
      },
      table: (header, rows.map(cells)))
  }

  /// Columns that stand on the right; what is wrong with members follows.
  static func text(_ rows: [TopRow]) -> String {
    let lines = [header.map { $0.uppercased() }] + rows.map(cells)
    let widths = header.indices.map { at in lines.map { $0[at].count }.max() ?? 0 }
    var text = ""
    for line in lines {
      for (at, (cell, width)) in zip(line, widths).enumerated() {
        let gap = String(repeating: " ", count: Swift.max(0, width - cell.count))
        text += at == 0 ? cell + gap : "  " + gap + cell
      }
      text += "\n"
    }
    for row in rows where !row.problem.isEmpty { text += "\(row.endpoint): \(row.problem)\n" }
    return text
  }
}
