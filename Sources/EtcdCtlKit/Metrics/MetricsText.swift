/// What a member's `/metrics` says, for those who look at it: sums over series, and distributions.
///
/// - Source: Prometheus' text format 0.0.4.
struct MetricsText: Sendable {
  /// One line: a series and its value.
  struct Sample: Sendable, Equatable {
    var labels: [String: String]
    let value: Double
  }

  private var samples: [Substring: [Sample]] = [:]

  /// Reads all lines that are series of these names; others are left out, as is what cannot be read.
  /// - Parameter wanted: whether a name is of interest.
  init(_ text: String, where wanted: (Substring) -> Bool = { _ in true }) {
    for line in text.split(separator: "\n") where !line.hasPrefix("#") {
      let name = line.prefix { $0 != "{" && $0 != " " }
      guard wanted(name), let sample = Self.sample(line[name.endIndex...]) else { continue }
      samples[name, default: []].append(sample)
    }
  }

  /// What stands behind a name: `{a="b"} 1.5`, perhaps with a time.
  private static func sample(_ text: Substring) -> Sample? {
    var rest = text
    var labels: [String: String] = [:]
    if rest.first == "{" {
      rest.removeFirst()
      while let next = rest.first, next != "}" {
        guard let label = label(&rest) else { return nil }
        labels[label.name] = label.value
      }
      guard rest.popFirst() == "}" else { return nil }
    }
    guard let number = rest.split(separator: " ").first, let value = Self.number(number) else {
      return nil
    }
    return Sample(labels: labels, value: value)
  }

  /// `name="value"` and the comma behind it.
  private static func label(_ rest: inout Substring) -> (name: String, value: String)? {
    guard let equals = rest.firstIndex(of: "=") else { return nil }
    let name = String(rest[..<equals])
    rest = rest[equals...].dropFirst()
    guard rest.popFirst() == "\"" else { return nil }
    var value = ""
    while let next = rest.popFirst() {
      if next == "\"" {
        if rest.first == "," { rest.removeFirst() }
        return (name, value)
      }
      guard next == "\\" else {
        value.append(next)
        continue
      }
      guard let escaped = rest.popFirst() else { return nil }
      value.append(escaped == "n" ? "\n" : escaped)
    }
    return nil
  }

  private static func number(_ text: Substring) -> Double? {
    switch text {
    case "+Inf": .infinity
    case "-Inf": -.infinity
    default: Double(text)
    }
  }

  /// The series of a name.
  func all(_ name: String) -> [Sample] { samples[name[...]] ?? [] }

  /// The sum over all series of a name that have these labels; `nil` when there is none.
  func value(_ name: String, _ labels: [String: String] = [:]) -> Double? {
    let found = all(name).filter { sample in
      labels.allSatisfy { sample.labels[$0.key] == $0.value }
    }
    return found.isEmpty ? nil : found.reduce(0) { $0 + $1.value }
  }

  /// The distribution over all series of a name; `nil` when there is none.
  func distribution(_ name: String) -> Distribution? {
    var counts: [Double: Double] = [:]
    for sample in all(name + "_bucket") {
      guard let bound = sample.labels["le"].flatMap({ Self.number($0[...]) }) else { continue }
      counts[bound, default: 0] += sample.value
    }
    guard !counts.isEmpty else { return nil }
    return Distribution(buckets: counts.sorted { $0.key < $1.key }.map { ($0.key, $0.value) })
  }
}

/// How often a value was not above each of some bounds.
struct Distribution: Sendable {
  /// By bound; counts include those of lower bounds.
  let buckets: [(bound: Double, count: Double)]

  var count: Double { buckets.last?.count ?? 0 }

  /// What came since an earlier look at the same; itself when that is of another process.
  func since(_ earlier: Distribution?) -> Distribution {
    guard let earlier, earlier.buckets.map(\.bound) == buckets.map(\.bound),
      earlier.count <= count
    else { return self }
    return Distribution(
      buckets: zip(buckets, earlier.buckets).map { ($0.bound, Swift.max(0, $0.count - $1.count)) })
  }

  /// The value below which this part of all is, estimated within its bucket as Prometheus does.
  /// - Returns: `nil` when nothing was counted.
  /// - Source: Prometheus `histogram_quantile`.
  func quantile(_ part: Double) -> Double? {
    guard count > 0 else { return nil }
    let rank = part * count
    var below = (bound: 0.0, count: 0.0)
    for bucket in buckets {
      if bucket.count >= rank {
        guard bucket.bound.isFinite else { return below.bound }
        let width = bucket.count - below.count
        return width > 0
          ? below.bound + (bucket.bound - below.bound) * (rank - below.count) / width : bucket.bound
      }
      below = bucket
    }
    return below.bound
  }
}
