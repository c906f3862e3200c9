import Bytes

// Stands in for the generated `raftpb` coding until module EtcdAPI is merged.
// proto2 with gogoproto's non-nullable scalars: a scalar is written even when it is zero.

private func varintSize(_ value: UInt64) -> Int {
  value == 0 ? 1 : (70 - value.leadingZeroBitCount) / 7
}

private func enumBits(_ value: Int32) -> UInt64 { UInt64(bitPattern: Int64(value)) }

private func bytesSize(_ bytes: Bytes) -> Int {
  bytes.isEmpty ? 0 : 1 + varintSize(UInt64(bytes.count)) + bytes.count
}

/// One field of a message as it was read.
private enum Field {
  case varint(UInt64)
  case bytes(Bytes)
  case fixed
}

extension ByteReader {
  fileprivate mutating func nextField() throws -> (number: UInt64, field: Field)? {
    guard remaining > 0 else { return nil }
    guard let key = readVarint(), key >> 3 != 0 else { throw Raftpb.DecodingError() }
    switch key & 7 {
    case 0:
      guard let value = readVarint() else { throw Raftpb.DecodingError() }
      return (key >> 3, .varint(value))
    case 1:
      guard skip(8) else { throw Raftpb.DecodingError() }
      return (key >> 3, .fixed)
    case 2:
      guard let count = readVarint(), count <= UInt64(remaining), let bytes = read(Int(count))
      else { throw Raftpb.DecodingError() }
      return (key >> 3, .bytes(bytes))
    case 5:
      guard skip(4) else { throw Raftpb.DecodingError() }
      return (key >> 3, .fixed)
    default:
      throw Raftpb.DecodingError()
    }
  }
}

extension ByteWriter {
  fileprivate mutating func varint(_ number: UInt8, _ value: UInt64) {
    append(number << 3)
    appendVarint(value)
  }

  fileprivate mutating func bytes(_ number: UInt8, _ value: Bytes) {
    guard !value.isEmpty else { return }
    append(number << 3 | 2)
    appendVarint(UInt64(value.count))
    append(value)
  }
}

extension Raftpb.Entry {
  /// Size of `encoded()` in bytes.
  public var encodedSize: Int {
    3 + varintSize(enumBits(type.rawValue)) + varintSize(term) + varintSize(index)
      + bytesSize(data)
  }

  /// The protobuf encoding.
  public func encoded() -> Bytes {
    var writer = ByteWriter(capacity: encodedSize)
    writer.varint(1, enumBits(type.rawValue))
    writer.varint(2, term)
    writer.varint(3, index)
    writer.bytes(4, data)
    return writer.finish()
  }

  /// Reads an encoding; fields not known are skipped.
  public static func decode(_ bytes: Bytes) throws -> Self {
    var reader = ByteReader(bytes)
    var result = Self()
    while let (number, field) = try reader.nextField() {
      switch (number, field) {
      case (1, .varint(let value)): result.type = .init(rawValue: Int32(truncatingIfNeeded: value))
      case (2, .varint(let value)): result.term = value
      case (3, .varint(let value)): result.index = value
      case (4, .bytes(let value)): result.data = value
      case (1...4, _): throw Raftpb.DecodingError()
      default: break
      }
    }
    return result
  }
}

extension Raftpb.ConfChange {
  /// Size of `encoded()` in bytes.
  public var encodedSize: Int {
    3 + varintSize(id) + varintSize(enumBits(type.rawValue)) + varintSize(nodeID)
      + bytesSize(context)
  }

  /// The protobuf encoding.
  public func encoded() -> Bytes {
    var writer = ByteWriter(capacity: encodedSize)
    writer.varint(1, id)
    writer.varint(2, enumBits(type.rawValue))
    writer.varint(3, nodeID)
    writer.bytes(4, context)
    return writer.finish()
  }

  /// Reads an encoding; fields not known are skipped.
  public static func decode(_ bytes: Bytes) throws -> Self {
    var reader = ByteReader(bytes)
    var result = Self()
    while let (number, field) = try reader.nextField() {
      switch (number, field) {
      case (1, .varint(let value)): result.id = value
      case (2, .varint(let value)): result.type = .init(rawValue: Int32(truncatingIfNeeded: value))
      case (3, .varint(let value)): result.nodeID = value
      case (4, .bytes(let value)): result.context = value
      case (1...4, _): throw Raftpb.DecodingError()
      default: break
      }
    }
    return result
  }
}

extension Raftpb.ConfChangeSingle {
  fileprivate var encodedSize: Int {
    2 + varintSize(enumBits(type.rawValue)) + varintSize(nodeID)
  }

  fileprivate static func decode(_ bytes: Bytes) throws -> Self {
    var reader = ByteReader(bytes)
    var result = Self()
    while let (number, field) = try reader.nextField() {
      switch (number, field) {
      case (1, .varint(let value)): result.type = .init(rawValue: Int32(truncatingIfNeeded: value))
      case (2, .varint(let value)): result.nodeID = value
      case (1...2, _): throw Raftpb.DecodingError()
      default: break
      }
    }
    return result
  }
}

extension Raftpb.ConfChangeV2 {
  /// Size of `encoded()` in bytes.
  public var encodedSize: Int {
    changes.reduce(1 + varintSize(enumBits(transition.rawValue)) + bytesSize(context)) {
      $0 + 1 + varintSize(UInt64($1.encodedSize)) + $1.encodedSize
    }
  }

  /// The protobuf encoding.
  public func encoded() -> Bytes {
    var writer = ByteWriter(capacity: encodedSize)
    writer.varint(1, enumBits(transition.rawValue))
    for change in changes {
      writer.append(2 << 3 | 2)
      writer.appendVarint(UInt64(change.encodedSize))
      writer.varint(1, enumBits(change.type.rawValue))
      writer.varint(2, change.nodeID)
    }
    writer.bytes(3, context)
    return writer.finish()
  }

  /// Reads an encoding; fields not known are skipped.
  public static func decode(_ bytes: Bytes) throws -> Self {
    var reader = ByteReader(bytes)
    var result = Self()
    while let (number, field) = try reader.nextField() {
      switch (number, field) {
      case (1, .varint(let value)):
        result.transition = .init(rawValue: Int32(truncatingIfNeeded: value))
      case (2, .bytes(let value)): result.changes.append(try .decode(value))
      case (3, .bytes(let value)): result.context = value
      case (1...3, _): throw Raftpb.DecodingError()
      default: break
      }
    }
    return result
  }
}
