import Synchronization

/// A number that only grows. Any thread; one relaxed atomic addition.
public final class Counter: Sendable {
  private let count = Atomic<UInt64>(0)
  public init() {}
  @inline(__always)
  public func add(_ amount: Int = 1) {
    count.wrappingAdd(UInt64(truncatingIfNeeded: amount), ordering: .relaxed)
  }
  public var value: UInt64 { count.load(ordering: .relaxed) }
}

/// A number that goes up and down. Any thread.
public final class Gauge: Sendable {
  private let bits = Atomic<UInt64>(0)
  public init() {}
  public func set(_ value: Double) { bits.store(value.bitPattern, ordering: .relaxed) }
  public func set(_ value: Int) { set(Double(value)) }
  public func add(_ amount: Double) { AtomicDouble.add(bits, amount) }
  public var value: Double { Double(bitPattern: bits.load(ordering: .relaxed)) }
}

/// Additions to a double held as bits.
enum AtomicDouble {
  static func add(_ bits: borrowing Atomic<UInt64>, _ amount: Double) {
    var seen = bits.load(ordering: .relaxed)
    while true {
      let next = (Double(bitPattern: seen) + amount).bitPattern
      let (exchanged, original) = bits.weakCompareExchange(
        expected: seen, desired: next, ordering: .relaxed)
      if exchanged { return }
      seen = original
    }
  }
}

/// Observations counted in fixed buckets. Any thread; two atomic additions and a search.
public final class Histogram: @unchecked Sendable {
  // @unchecked: `counts` is allocated once and holds atomics.

  /// Upper bounds, ascending; the bucket above all of them is implied.
  public let bounds: [Double]
  private let counts: UnsafeMutablePointer<Atomic<UInt64>>
  private let total = Atomic<UInt64>(0)

  public init(bounds: [Double]) {
    precondition(
      zip(bounds, bounds.dropFirst()).allSatisfy { $0 < $1 }, "histogram bounds must ascend")
    self.bounds = bounds
    counts = .allocate(capacity: bounds.count + 1)
    for index in 0...bounds.count { (counts + index).initialize(to: Atomic(0)) }
  }

  deinit {
    counts.deinitialize(count: bounds.count + 1)
    counts.deallocate()
  }

  public func observe(_ value: Double) {
    var low = 0
    var high = bounds.count
    while low < high {
      let middle = (low + high) / 2
      if bounds[middle] < value { low = middle + 1 } else { high = middle }
    }
    counts[low].wrappingAdd(1, ordering: .relaxed)
    AtomicDouble.add(total, value)
  }

  /// Observes a duration in seconds.
  public func observe(_ duration: Duration) { observe(Double(duration.nanoseconds) / 1e9) }

  /// Sum of what was observed, and the count of each bucket (not cumulative, the last one open).
  public var snapshot: (sum: Double, counts: [UInt64]) {
    let read = (0...bounds.count).map { counts[$0].load(ordering: .relaxed) }
    return (Double(bitPattern: total.load(ordering: .relaxed)), read)
  }

  /// `count` bounds from `start`, each `factor` times the one before.
  public static func exponential(start: Double, factor: Double, count: Int) -> [Double] {
    var bounds: [Double] = []
    var next = start
    for _ in 0..<count {
      bounds.append(next)
      next *= factor
    }
    return bounds
  }

  /// The Prometheus client's default bounds, in seconds.
  public static let standardBounds = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]
}
