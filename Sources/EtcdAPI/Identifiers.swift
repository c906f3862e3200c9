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
