/// SplitMix64: a small seeded generator, so that a failing run can be repeated.
public struct SeededGenerator: RandomNumberGenerator {
  public var state: UInt64

  public init(state: UInt64) { self.state = state }

  public mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var z = state
    z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
    return z ^ (z >> 31)
  }

  /// A fresh seed, printed so that a failure can be repeated.
  public static func printed(_ name: String) -> SeededGenerator {
    let seed = UInt64.random(in: 0...UInt64.max)
    print("\(name): seed \(seed)")
    return SeededGenerator(state: seed)
  }
}
