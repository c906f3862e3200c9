/// A scalar that the wire format carries as a varint: integers, `Bool` and enums.
public protocol WireVarint: Sendable {
  /// Takes the value from the 64 bits read; surplus high bits are dropped.
  init(wireVarint: UInt64)
  /// The 64 bits to write; negative numbers are sign-extended.
  var wireVarint: UInt64 { get }
}

extension Int64: WireVarint {
  @inlinable public init(wireVarint: UInt64) { self = Int64(bitPattern: wireVarint) }
  @inlinable public var wireVarint: UInt64 { UInt64(bitPattern: self) }
}

extension UInt64: WireVarint {
  @inlinable public init(wireVarint: UInt64) { self = wireVarint }
  @inlinable public var wireVarint: UInt64 { self }
}

extension Int32: WireVarint {
  @inlinable public init(wireVarint: UInt64) { self.init(truncatingIfNeeded: wireVarint) }
  @inlinable public var wireVarint: UInt64 { UInt64(bitPattern: Int64(self)) }
}

extension UInt32: WireVarint {
  @inlinable public init(wireVarint: UInt64) { self.init(truncatingIfNeeded: wireVarint) }
  @inlinable public var wireVarint: UInt64 { UInt64(self) }
}

extension Bool: WireVarint {
  @inlinable public init(wireVarint: UInt64) { self = wireVarint != 0 }
  @inlinable public var wireVarint: UInt64 { self ? 1 : 0 }
}

/// An open enum: numbers without a name are kept.
public protocol ProtobufEnum: WireVarint, Hashable, JSONField {
  /// Package and name, as in `etcdserverpb.AlarmType`.
  static var fullName: String { get }
  /// The value with this number; `unrecognized` when it has no name.
  init(rawValue: Int32)
  /// The number on the wire.
  var rawValue: Int32 { get }
  /// The value with this name in the .proto file.
  init?(protoName: String)
  /// The name in the .proto file; `nil` for `unrecognized`.
  var protoName: String? { get }
}

extension ProtobufEnum {
  @inlinable public init(wireVarint: UInt64) {
    self.init(rawValue: Int32(truncatingIfNeeded: wireVarint))
  }
  @inlinable public var wireVarint: UInt64 { UInt64(bitPattern: Int64(rawValue)) }
}
