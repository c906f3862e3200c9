import Bytes

/// A number that names one thing and no other: what it wraps says how it goes over the wire, its type
/// says what it names. The generated messages keep bare numbers; who reads or fills one converts.
///
/// - Shape: a struct around one number; it costs what the number does.
public protocol NumericID: RawRepresentable, Hashable, Comparable, Sendable,
  CustomStringConvertible, ExpressibleByIntegerLiteral
where RawValue: FixedWidthInteger & Sendable, IntegerLiteralType == RawValue {
  init(rawValue: RawValue)
}

extension NumericID {
  @inlinable @inline(__always)
  public init(_ rawValue: RawValue) { self.init(rawValue: rawValue) }

  @inlinable @inline(__always)
  public init(integerLiteral value: RawValue) { self.init(rawValue: value) }

  @inlinable @inline(__always)
  public static func == (a: Self, b: Self) -> Bool { a.rawValue == b.rawValue }

  @inlinable @inline(__always)
  public static func < (a: Self, b: Self) -> Bool { a.rawValue < b.rawValue }

  /// Decimal, as the number itself.
  @inlinable public var description: String { rawValue.description }
}

/// Names a lease.
///
/// - Shape: signed as on the wire; 0 = no lease, negative ones are asked for by clients only.
/// - Source: etcd `lease.LeaseID`, `lease.NoLease`.
public struct LeaseID: NumericID {
  public let rawValue: Int64

  @inlinable @inline(__always)
  public init(rawValue: Int64) { self.rawValue = rawValue }

  /// What keys without a lease have.
  public static let none: LeaseID = 0
}

/// Names a member of a cluster; raft knows it as a node by the same number.
///
/// - Shape: random-looking (`Identity.memberID`); 0 = none.
/// - Source: etcd `types.ID`, `raft.None`.
public struct MemberID: NumericID {
  public let rawValue: UInt64

  @inlinable @inline(__always)
  public init(rawValue: UInt64) { self.rawValue = rawValue }

  /// Nobody: no leader, no sender.
  public static let none: MemberID = 0

  /// As etcd prints it: lower-case hexadecimal without padding.
  public var hex: String { String(rawValue, radix: 16) }

  /// Parses 1 to 16 hexadecimal digits (leading zeros may make it longer), either case.
  /// - Returns: `nil` for anything else, such as a sign or a prefix.
  public init?(hex text: some StringProtocol) {
    guard !text.isEmpty, text.utf8.count <= 64 else { return nil }
    var value: UInt64 = 0
    for byte in text.utf8 {
      guard let digit = byte.hexValue, value >> 60 == 0 else { return nil }
      value = value << 4 | UInt64(digit)
    }
    self.init(rawValue: value)
  }
}

/// Numbers a term: a time that begins with an election and has one leader at most.
///
/// - Shape: counts up from 1; 0 = before the first election.
/// - Source: Raft thesis §3.3; etcd `HardState.Term`.
public struct Term: NumericID {
  public let rawValue: UInt64

  @inlinable @inline(__always)
  public init(rawValue: UInt64) { self.rawValue = rawValue }
}

/// A place in the log, and the state after the entry there was applied.
///
/// - Shape: counts up from 1; 0 = before the first entry.
/// - Source: Raft thesis §3.5; etcd `Entry.Index`.
public struct LogIndex: NumericID {
  public let rawValue: UInt64

  @inlinable @inline(__always)
  public init(rawValue: UInt64) { self.rawValue = rawValue }

  /// The place behind this one.
  @inlinable @inline(__always)
  public var next: LogIndex { LogIndex(rawValue + 1) }

  /// The place `count` entries before; the log must reach that far.
  @inlinable @inline(__always)
  public static func - (index: LogIndex, count: UInt64) -> LogIndex {
    LogIndex(index.rawValue - count)
  }

  /// Entries behind `earlier`, up to and with this one.
  @inlinable @inline(__always)
  public func entries(behind earlier: LogIndex) -> UInt64 { rawValue - earlier.rawValue }
}

extension Raftpb.Message {
  /// The member that sends it, where it goes between members.
  @inlinable public var sender: MemberID { MemberID(from) }
  /// The member that it is for, where it goes between members.
  @inlinable public var receiver: MemberID { MemberID(to) }
}
