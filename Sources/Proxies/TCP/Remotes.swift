import GoText

/// A server that a gateway hands connections to.
package struct Remote: Equatable, Sendable, CustomStringConvertible {
  /// A name or a numeric address, without brackets.
  package let host: String
  package let port: UInt16
  /// Those of the smallest number are taken as long as one of them answers.
  package let priority: UInt16
  /// The share of those of one priority; those without any take turns.
  package let weight: UInt16

  package init(host: String, port: UInt16, priority: UInt16 = 0, weight: UInt16 = 0) {
    self.host = host
    self.port = port
    self.priority = priority
    self.weight = weight
  }

  /// `infra0.example.com:2379`, `[::1]:2379`.
  package var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
}

/// Which server the next connection goes to. A value: who asks hands the chance in.
///
/// - Source: etcd `proxy/tcpproxy/userspace.go`, `pick`. There, servers without weight take turns with all others,
///   whatever their priority; here, with those of the best priority alone.
struct Remotes: Sendable {
  private(set) var all: [Remote]
  private var inactive: Set<Int> = []
  /// Those that are tried again at this moment.
  private var examined: Set<Int> = []
  private var turn = 0

  init(_ remotes: [Remote]) { all = remotes }

  /// Chooses the server of a connection.
  /// - Returns: its index; `nil` when none is active.
  mutating func pick(using random: inout some RandomNumberGenerator) -> Int? {
    let active = all.indices.filter { !inactive.contains($0) }
    guard let best = active.map({ all[$0].priority }).min() else { return nil }
    let candidates = active.filter { all[$0].priority == best }
    let weighted = candidates.filter { all[$0].weight > 0 }
    let unweighted = candidates.filter { all[$0].weight == 0 }
    if weighted.isEmpty { return next(of: unweighted) }
    // Beside those with a weight, the others have a very small chance.
    if !unweighted.isEmpty, Int.random(in: 0..<100, using: &random) == 1 {
      return next(of: unweighted)
    }
    // checked: 65,535 times as many as fit on a command line or into an answer
    let sum = weighted.reduce(0) { $0 + Int(all[$1].weight) }
    var left = Int.random(in: 0..<sum, using: &random)
    for index in weighted {
      // checked: falls from below the sum to zero
      left -= Int(all[index].weight)
      if left < 0 { return index }
    }
    return weighted.last
  }

  /// The one behind that of the last turn.
  private mutating func next(of candidates: [Int]) -> Int? {
    guard let first = candidates.first else { return nil }
    let found = candidates.first { $0 >= turn } ?? first
    turn = found &+ 1
    return found
  }

  /// It does not answer: nothing goes there until `activate`.
  /// - Returns: whether that is news.
  mutating func deactivate(_ index: Int) -> Bool { inactive.insert(index).inserted }

  /// Those that should be tried again; each until `activate` or `stayInactive` tells how that went.
  mutating func examine() -> [Int] {
    let found = inactive.subtracting(examined).sorted()
    examined.formUnion(found)
    return found
  }

  /// It answers again.
  mutating func activate(_ index: Int) {
    inactive.remove(index)
    examined.remove(index)
  }

  /// It still does not answer.
  mutating func stayInactive(_ index: Int) { examined.remove(index) }
}
