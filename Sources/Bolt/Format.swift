import Bytes

/// Constants of the bbolt file format, version 2. All integers are little-endian.
///
/// ```
/// page:    id u64 | flags u16 | count u16 | overflow u32 | elements…      (16-byte header)
/// branch:  pos u32 | ksize u32 | pgid u64                                  (16 bytes each)
/// leaf:    flags u32 | pos u32 | ksize u32 | vsize u32                     (16 bytes each)
/// bucket:  root pgid u64 | sequence u64 [| inline leaf page when root = 0] (value of a leaf element)
/// ```
/// `pos` counts from the element's own first byte. Source: bbolt `internal/common/page.go`.
enum Format {
  static let magic: UInt32 = 0xED0C_DAED
  static let version: UInt32 = 2
  static let pageHeaderBytes = 16
  static let elementBytes = 16
  static let bucketHeaderBytes = 16
  static let metaBytes = 64
  /// Freelist page id that says the list is not stored (bbolt's NoFreelistSync).
  static let noFreelist = UInt64.max

  static let branchFlag: UInt16 = 0x01
  static let leafFlag: UInt16 = 0x02
  static let metaFlag: UInt16 = 0x04
  static let freelistFlag: UInt16 = 0x10
  /// Flag of a leaf element whose value is a bucket.
  static let bucketElementFlag: UInt32 = 0x01

  /// Smallest and largest page size that is believed; bbolt uses the machine's page size.
  static let pageSizes = 1024...65536
  static let keyBytesMax = 32768
  /// Commits that a file may have seen: nobody commits that often, and there is room for those to come.
  static let transactionMax: UInt64 = 1 << 62
}

/// One of the two meta pages: the root of a committed state.
struct Meta: Equatable, Sendable {
  var pageSize: Int
  var root: UInt64
  var sequence: UInt64
  /// Page of the stored freelist, or `Format.noFreelist`.
  var freelist: UInt64
  /// First page id never used: the file holds `highWater * pageSize` meaningful bytes.
  var highWater: UInt64
  var transaction: UInt64

  /// The 64 bytes after the page header, checksum included.
  func encoded() -> Bytes {
    var writer = ByteWriter(capacity: Format.metaBytes)
    writer.appendLittleEndian(Format.magic)
    writer.appendLittleEndian(Format.version)
    writer.appendLittleEndian(UInt32(pageSize))
    writer.appendLittleEndian(UInt32(0))
    for field in [root, sequence, freelist, highWater, transaction] {
      writer.appendLittleEndian(field)
    }
    let checksum = writer.withUnsafeBytes { Meta.fnv1a($0) }
    writer.appendLittleEndian(checksum)
    return writer.finish()
  }

  /// A whole meta page with its header.
  func encodedPage() -> Bytes {
    var writer = ByteWriter(capacity: pageSize)
    writer.appendLittleEndian(transaction % 2)
    writer.appendLittleEndian(Format.metaFlag)
    writer.appendLittleEndian(UInt16(0))
    writer.appendLittleEndian(UInt32(0))
    writer.append(encoded())
    writer.append(repeating: 0, count: pageSize - writer.count)
    return writer.finish()
  }

  /// Decodes and verifies the bytes that follow a page header.
  /// - Throws: the reason as text when magic, version or checksum differ.
  static func decode(_ bytes: Bytes) throws(BoltError) -> Meta {
    var reader = ByteReader(bytes)
    guard bytes.count >= Format.metaBytes, let magic = reader.readLittleEndian(UInt32.self),
      let version = reader.readLittleEndian(UInt32.self),
      let pageSize = reader.readLittleEndian(UInt32.self),
      reader.skip(4), let root = reader.readLittleEndian(UInt64.self),
      let sequence = reader.readLittleEndian(UInt64.self),
      let freelist = reader.readLittleEndian(UInt64.self),
      let highWater = reader.readLittleEndian(UInt64.self),
      let transaction = reader.readLittleEndian(UInt64.self),
      let checksum = reader.readLittleEndian(UInt64.self)
    else { throw BoltError.invalid("meta page is cut off") }
    guard magic == Format.magic else { throw BoltError.invalid("invalid database (magic)") }
    guard version == Format.version else {
      throw BoltError.invalid("version mismatch: \(version), supported \(Format.version)")
    }
    let computed = bytes.withUnsafeBytes {
      fnv1a(UnsafeRawBufferPointer(rebasing: $0[..<(Format.metaBytes - 8)]))
    }
    guard checksum == computed else { throw BoltError.invalid("meta checksum error") }
    guard Format.pageSizes.contains(Int(pageSize)) else {
      throw BoltError.invalid("page size \(pageSize) outside of \(Format.pageSizes)")
    }
    guard root >= 2, root < highWater else {
      throw BoltError.invalid("root page \(root) outside of 2..<\(highWater)")
    }
    guard transaction <= Format.transactionMax else {
      throw BoltError.invalid("transaction \(transaction) is beyond \(Format.transactionMax)")
    }
    return Meta(
      pageSize: Int(pageSize), root: root, sequence: sequence, freelist: freelist,
      highWater: highWater, transaction: transaction)
  }

  /// FNV-1a, 64 bits.
  private static func fnv1a(_ memory: UnsafeRawBufferPointer) -> UInt64 {
    var hash: UInt64 = 0xcbf2_9ce4_8422_2325
    for byte in memory { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
    return hash
  }
}

/// Why a database could not be opened, read or written.
public struct BoltError: Error, Sendable, CustomStringConvertible {
  public enum Reason: Sendable, Equatable {
    /// The file is not a database or its pages contradict each other.
    case invalid
    /// Another process holds the file's lock.
    case locked
    /// The disk refused.
    case file
    /// The caller named a bucket or key that cannot be written.
    case argument
    /// The work was given up because the caller wanted it.
    case stopped
  }
  public let reason: Reason
  public let description: String

  public init(reason: Reason, description: String) {
    self.reason = reason
    self.description = description
  }

  static func invalid(_ text: String) -> BoltError {
    BoltError(reason: .invalid, description: text)
  }
  static func corrupt(page: UInt64, _ text: String) -> BoltError {
    BoltError(reason: .invalid, description: "page \(page): \(text)")
  }
}
