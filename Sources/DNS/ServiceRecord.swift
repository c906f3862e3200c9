/// Where a service is offered: one SRV record.
///
/// - Source: RFC 2782.
package struct ServiceRecord: Equatable, Sendable {
  /// Without the dot at its end.
  package let target: String
  package let port: UInt16
  /// Targets of a smaller number are tried first.
  package let priority: UInt16
  /// The share of those of one priority.
  package let weight: UInt16

  package init(target: String, port: UInt16, priority: UInt16, weight: UInt16) {
    self.target = target
    self.port = port
    self.priority = priority
    self.weight = weight
  }

  /// The records as they are to be tried: by priority, those of one priority drawn by weight.
  package static func ordered(
    _ records: [Self], using random: inout some RandomNumberGenerator
  ) -> [Self] {
    Dictionary(grouping: records, by: \.priority).sorted { $0.key < $1.key }
      .flatMap { drawn($0.value, using: &random) }
  }

  /// At most 65,535 records of 65,535: sums fit by far.
  private static func drawn(
    _ records: [Self], using random: inout some RandomNumberGenerator
  ) -> [Self] {
    // Those without weight come first, so that they have a small chance to be drawn.
    var left = records.filter { $0.weight == 0 }.shuffled(using: &random)
    left += records.filter { $0.weight != 0 }
    var ordered: [Self] = []
    var sum = left.reduce(0) { $0 + Int($1.weight) }
    while !left.isEmpty {
      let mark = Int.random(in: 0...sum, using: &random)
      var running = 0
      let index = left.firstIndex { record in
        running += Int(record.weight)
        return running >= mark
      }
      let record = left.remove(at: index!)
      sum -= Int(record.weight)
      ordered.append(record)
    }
    return ordered
  }
}
