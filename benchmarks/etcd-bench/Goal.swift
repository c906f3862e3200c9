/// What a line of the results is held to.
struct Goal {
  /// As the table shows it.
  let text: String
  /// Whether the measured values reach it; `nil` when there is nothing to compare with.
  let isReached: (Measured) -> Bool?

  /// The medians that a goal may look at.
  struct Measured {
    let mine: Double
    /// The reference's value; `nil` when it was not measured.
    let theirs: Double?
    let myCPU: Double?
    let theirCPU: Double?
    /// Our median of another line.
    let other: (_ work: String) -> Double?

    var ratio: Double? { theirs.flatMap { $0 > 0 ? mine / $0 : nil } }
  }

  /// At least `ratio` times the reference's throughput at no more than `cpu` µs a request.
  static func throughput(_ ratio: Double, cpu: Double? = nil) -> Goal {
    Goal(text: "≥ \(fixed(ratio, 0))×" + (cpu.map { ", ≤ \(fixed($0, 0)) µs CPU" } ?? "")) {
      guard let measured = $0.ratio else { return nil }
      return measured >= ratio && ($0.myCPU ?? 0) <= (cpu ?? .infinity)
    }
  }

  /// At least `ratio` times the reference's throughput, at no more than a share of its CPU time a request.
  static func throughput(_ ratio: Double, cpuShare: Double) -> Goal {
    Goal(text: "≥ \(fixed(ratio, 0))×, CPU ≤ \(fixed(cpuShare, 2))×") { measured in
      guard let times = measured.ratio, let mine = measured.myCPU, let theirs = measured.theirCPU
      else { return nil }
      return times >= ratio && mine <= cpuShare * theirs
    }
  }

  /// At most `share` of the reference's value.
  static func share(_ share: Double) -> Goal {
    Goal(text: "≤ \(fixed(share, 2))×") { $0.ratio.map { $0 <= share } }
  }

  /// At least as many times the reference's value.
  static func times(_ times: Double) -> Goal {
    Goal(text: "≥ \(fixed(times, 0))×") { $0.ratio.map { $0 >= times } }
  }

  /// At most `value`, in the unit of the line.
  static func most(_ value: Double, _ unit: Unit) -> Goal {
    Goal(text: "≤ \(unit.text(value))") { $0.mine <= value }
  }

  static func least(_ value: Double, _ unit: Unit) -> Goal {
    Goal(text: "≥ \(unit.text(value))") { $0.mine >= value }
  }

  /// At most `times` our own value of another line.
  static func most(_ times: Double, of work: String, _ name: String) -> Goal {
    Goal(text: "≤ \(fixed(times, 0))× \(name)") { measured in
      measured.other(work).map { measured.mine <= times * $0 }
    }
  }
}

/// How a value is written. Times are in seconds, sizes in bytes.
enum Unit {
  case perSecond, microseconds, milliseconds, bytes, mebibytes, percent, bytesPerSecond

  func text(_ value: Double) -> String {
    switch self {
    case .perSecond: "\(fixed(value, 0))/s"
    case .microseconds: "\(fixed(value * 1e6, 0)) µs"
    case .milliseconds: "\(fixed(value * 1e3, value < 0.01 ? 2 : value < 0.1 ? 1 : 0)) ms"
    case .bytes: "\(fixed(value, 0)) B"
    case .mebibytes: "\(fixed(value / Double(1 << 20), 1)) MiB"
    case .percent: "\(fixed(value * 100, 2)) %"
    case .bytesPerSecond: "\(fixed(value / 1e6, 0)) MB/s"
    }
  }
}
