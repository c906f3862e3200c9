/// Makes ids that are unique over members and restarts, and that tell who asked.
///
/// - Shape: 2 bytes of the member id, 4 bits of the lane, 36 bits of the start time in milliseconds
///   (two years), 1 byte counter; the low 44 bits count up from there.
/// - Source: etcd `pkg/idutil`, which has no lanes and a longer time.
public struct RequestID: Sendable {
  /// Lanes that can be told apart: loops that ask, each with ids of its own.
  public static let lanesMax = 16

  private static let countBits: UInt64 = 44

  private let prefix: UInt64
  private var suffix: UInt64

  /// - Parameters:
  ///   - lane: below `lanesMax`; answers find their way back by it.
  ///   - milliseconds: time since 1970.
  public init(member: UInt64, lane: Int = 0, milliseconds: UInt64) {
    precondition(lane >= 0 && lane < Self.lanesMax, "lane \(lane) of \(Self.lanesMax)")
    prefix = member << 48 | UInt64(lane) << Self.countBits
    suffix = milliseconds << 8
  }

  public mutating func next() -> UInt64 {
    suffix &+= 1
    return prefix | (suffix & (1 << Self.countBits - 1))
  }

  /// The lane that an id of this member came from.
  @inline(__always)
  public static func lane(of id: UInt64) -> Int {
    Int(truncatingIfNeeded: id >> countBits) & (lanesMax - 1)
  }
}
