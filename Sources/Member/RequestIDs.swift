import EtcdAPI

/// Names a request while it is under way.
///
/// - Shape: made by `RequestIDs`, or by a member that runs Go's etcd; 0 = none.
/// - Source: etcd `RequestHeader.ID`.
public struct RequestID: NumericID {
  public let rawValue: UInt64

  @inlinable @inline(__always)
  public init(rawValue: UInt64) { self.rawValue = rawValue }

  /// The lane that an id of this member came from.
  @inline(__always)
  public var lane: Int {
    Int(truncatingIfNeeded: rawValue >> RequestIDs.countBits) & (RequestIDs.lanesMax - 1)
  }
}

/// Makes ids that are unique over members and restarts, and that tell who asked.
///
/// - Shape: 2 bytes of the member id, 4 bits of the lane, 44 bits that count up from a number drawn by chance at
///   each start.
/// - Source: etcd `pkg/idutil`, which has no lanes, and begins at the time of day. A clock that stands still or goes
///   back begins twice at the same one; a request of the life before, still on its way in some log or message, is
///   then taken for one of this life, and its answer or its read round with it.
public struct RequestIDs: Sendable {
  /// Lanes that can be told apart: loops that ask, each with ids of its own.
  public static let lanesMax = 16

  fileprivate static let countBits: UInt64 = 44

  private let prefix: UInt64
  private var suffix: UInt64

  /// - Parameters:
  ///   - member: that makes them; none where they need not differ from those of others.
  ///   - lane: below `lanesMax`; answers find their way back by it.
  ///   - start: drawn by chance; another one at each start of the process.
  public init(member: MemberID = .none, lane: Int = 0, start: UInt64) {
    precondition(lane >= 0 && lane < Self.lanesMax, "lane \(lane) of \(Self.lanesMax)")
    prefix = member.rawValue << 48 | UInt64(lane) << Self.countBits
    suffix = start
  }

  public mutating func next() -> RequestID {
    suffix &+= 1
    return RequestID(prefix | (suffix & (1 << Self.countBits - 1)))
  }
}
