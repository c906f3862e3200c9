import Bytes
import GoText
import Synchronization

/// All metrics of a process, and their text form.
///
/// Registering takes a lock; the returned objects do not. Asking again for the same name and labels
/// gives the same object.
///
/// - Source: Prometheus text exposition format 0.0.4.
public final class MetricsRegistry: Sendable {
  /// Content type of `exposition()`.
  public static let contentType = "text/plain; version=0.0.4; charset=utf-8"

  /// A label name and its value.
  public typealias Labels = KeyValuePairs<String, String>

  private enum Kind: String { case counter, gauge, histogram }

  private enum Instrument: Sendable {
    case counter(Counter)
    case gauge(Gauge)
    case histogram(Histogram)
    case callback(@Sendable () -> Double?)
  }

  private struct Family: Sendable {
    let name: String
    let help: String
    let kind: Kind
    var children: [String: Instrument] = [:]
  }

  private let families = Mutex<[String: Family]>([:])

  public init() {}

  /// The counter with this name and these labels.
  public func counter(_ name: String, _ help: String, _ labels: Labels = [:]) -> Counter {
    let found = register(name, help, .counter, labels) { .counter(Counter()) }
    guard case .counter(let counter) = found else { Self.mixed(name) }
    return counter
  }

  /// Counters with this name and these labels, and one label more that is another for each.
  /// - Returns: one for each value.
  public func counters(
    _ name: String, _ help: String, _ labels: Labels, by label: String, _ values: [String]
  ) -> [Counter] {
    let sorted = labels.sorted { $0.key < $1.key }
    let before = sorted.filter { $0.key < label }.map { Self.text($0) + "," }.joined()
    let after = sorted.filter { $0.key > label }.map { "," + Self.text($0) }.joined()
    return values.map { value in
      let key = before + Self.text((label, value)) + after
      let found = register(name, help, .counter, key: key) { .counter(Counter()) }
      guard case .counter(let counter) = found else { Self.mixed(name) }
      return counter
    }
  }

  /// The gauge with this name and these labels.
  public func gauge(_ name: String, _ help: String, _ labels: Labels = [:]) -> Gauge {
    let found = register(name, help, .gauge, labels) { .gauge(Gauge()) }
    guard case .gauge(let gauge) = found else { Self.mixed(name) }
    return gauge
  }

  /// The histogram with this name and these labels.
  public func histogram(
    _ name: String, _ help: String, _ labels: Labels = [:],
    bounds: [Double] = Histogram.standardBounds
  ) -> Histogram {
    let found = register(name, help, .histogram, labels) { .histogram(Histogram(bounds: bounds)) }
    guard case .histogram(let histogram) = found else { Self.mixed(name) }
    return histogram
  }

  /// A gauge whose value is computed when it is read; `nil` leaves it out. `body` may be called on
  /// any thread.
  public func gauge(
    _ name: String, _ help: String, _ labels: Labels = [:],
    _ body: @escaping @Sendable () -> Double?
  ) {
    _ = register(name, help, .gauge, labels) { .callback(body) }
  }

  /// A counter whose value is computed when it is read.
  public func counter(
    _ name: String, _ help: String, _ labels: Labels = [:],
    _ body: @escaping @Sendable () -> Double?
  ) {
    _ = register(name, help, .counter, labels) { .callback(body) }
  }

  private static func mixed(_ name: String) -> Never {
    preconditionFailure("metric \(name) registered as two kinds")
  }

  private func register(
    _ name: String, _ help: String, _ kind: Kind, _ labels: Labels,
    _ make: () -> Instrument
  ) -> Instrument {
    let key = labels.sorted { $0.key < $1.key }.map(Self.text).joined(separator: ",")
    return register(name, help, kind, key: key, make)
  }

  /// - Parameter key: `a="x",b="y"` with the names sorted, values escaped.
  private func register(
    _ name: String, _ help: String, _ kind: Kind, key: String, _ make: () -> Instrument
  ) -> Instrument {
    families.withLock { families in
      if let known = families[name]?.kind, known != kind { Self.mixed(name) }
      if let found = families[name]?.children[key] { return found }
      let made = make()
      // In place: a start registers a thousand, and a copy of the family for each would be a third of its time.
      families[name, default: Family(name: name, help: help, kind: kind)].children[key] = made
      return made
    }
  }

  private static func text(_ label: (key: String, value: String)) -> String {
    label.key + "=\"" + escape(label.value, quotes: true) + "\""
  }

  private static func escape(_ text: String, quotes: Bool) -> String {
    // Nearly all: a start registers a thousand.
    guard text.utf8.contains(where: { $0 == 0x0a || $0 == 0x22 || $0 == 0x5c }) else { return text }
    var out = ""
    for character in text.unicodeScalars {
      switch character {
      case "\\": out += "\\\\"
      case "\n": out += "\\n"
      case "\"" where quotes: out += "\\\""
      default: out.unicodeScalars.append(character)
      }
    }
    return out
  }

  /// The text of all metrics, families sorted by name and series by labels.
  public func exposition() -> Bytes {
    let sorted = families.withLock { $0.values.sorted { $0.name < $1.name } }
    var out = ByteWriter(capacity: 16_384)
    for family in sorted {
      var body = ByteWriter(capacity: 256)
      for (labels, instrument) in family.children.sorted(by: { $0.key < $1.key }) {
        Self.append(family.name, labels, instrument, &body)
      }
      guard body.count > 0 else { continue }
      out.append("# HELP \(family.name) \(Self.escape(family.help, quotes: false))\n")
      out.append("# TYPE \(family.name) \(family.kind.rawValue)\n")
      out.append(body.finish())
    }
    return out.finish()
  }

  private static func append(
    _ name: String, _ labels: String, _ instrument: Instrument, _ out: inout ByteWriter
  ) {
    let suffix = labels.isEmpty ? "" : "{\(labels)}"
    switch instrument {
    case .counter(let counter):
      out.append("\(name)\(suffix) \(FloatText.general(Double(counter.value)))\n")
    case .gauge(let gauge): out.append("\(name)\(suffix) \(FloatText.general(gauge.value))\n")
    case .callback(let body):
      if let value = body() { out.append("\(name)\(suffix) \(FloatText.general(value))\n") }
    case .histogram(let histogram):
      let (sum, counts) = histogram.snapshot
      let lead = labels.isEmpty ? "" : labels + ","
      var cumulative: UInt64 = 0
      for (index, count) in counts.enumerated() {
        cumulative += count
        let bound =
          index < histogram.bounds.count ? FloatText.general(histogram.bounds[index]) : "+Inf"
        out.append(
          "\(name)_bucket{\(lead)le=\"\(bound)\"} \(FloatText.general(Double(cumulative)))\n")
      }
      out.append("\(name)_sum\(suffix) \(FloatText.general(sum))\n")
      out.append("\(name)_count\(suffix) \(FloatText.general(Double(cumulative)))\n")
    }
  }
}
