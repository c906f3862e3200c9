import Bytes

/// A change of the store: `main` counts write transactions, `sub` the changes inside one.
///
/// - Shape on disk: main u64 BE, `_`, sub u64 BE, and a final `t` for a tombstone; 17 or 18 bytes.
/// - Source: etcd `mvcc/revision.go`.
public struct Revision: Hashable, Comparable, Sendable {
  public var main: Int64
  public var sub: Int64

  public init(main: Int64, sub: Int64 = 0) {
    self.main = main
    self.sub = sub
  }

  public static func < (a: Revision, b: Revision) -> Bool {
    a.main != b.main ? a.main < b.main : a.sub < b.sub
  }

  static let keyBytes = 17

  /// The row key of this revision.
  public func encoded(isTombstone: Bool = false) -> Bytes {
    var writer = ByteWriter(capacity: 18)
    writer.appendBigEndian(main)
    writer.append(UInt8(ascii: "_"))
    writer.appendBigEndian(sub)
    if isTombstone { writer.append(UInt8(ascii: "t")) }
    return writer.finish()
  }

  /// Decodes a row key; `nil` when it has another form.
  public static func decode(_ key: Bytes) -> (Revision, isTombstone: Bool)? {
    var reader = ByteReader(key)
    guard
      key.count == keyBytes || (key.count == keyBytes + 1 && key[keyBytes] == UInt8(ascii: "t")),
      let main = reader.readBigEndian(Int64.self), reader.readByte() == UInt8(ascii: "_"),
      let sub = reader.readBigEndian(Int64.self)
    else { return nil }
    return (Revision(main: main, sub: sub), key.count > keyBytes)
  }
}
