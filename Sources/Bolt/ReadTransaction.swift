import Bytes
import FileSystem

/// A committed state of the database, unchanged however long it is held.
///
/// Every `Bytes` it hands out is a slice of the mapped file whose owner is this object, so the pages
/// behind a slice are not reused while the slice exists. Usable from any thread.
///
/// - Source: bbolt `tx.go`.
public final class BoltReadTransaction: Sendable {
  let meta: Meta
  let pages: PageMap
  private let database: BoltDatabase

  init(meta: Meta, mapping: any FileMapping, database: BoltDatabase) {
    self.meta = meta
    self.pages = PageMap(mapping: mapping, pageSize: meta.pageSize, highWater: meta.highWater)
    self.database = database
  }

  deinit { database.endRead(meta.transaction) }

  /// Id of the commit this state came from.
  public var transaction: UInt64 { meta.transaction }
  /// Bytes of a page.
  public var pageSize: Int { meta.pageSize }
  /// Bytes of the database in this state: what a snapshot of it has.
  public var size: Int { Int(meta.highWater) * meta.pageSize }

  /// A top-level bucket; `nil` when there is none of that name.
  /// - Throws: `BoltError` when a page on the way is damaged.
  public func bucket(_ name: Bytes) throws(BoltError) -> BoltBucket? {
    let root = BoltBucket(root: meta.root, inline: nil, transaction: self)
    guard let (value, isBucket) = try root.find(name), isBucket else { return nil }
    return try BoltBucket(header: value, transaction: self)
  }

  /// Names of the top-level buckets in order.
  public func bucketNames() throws(BoltError) -> [Bytes] {
    var names: [Bytes] = []
    var cursor = BoltBucket(root: meta.root, inline: nil, transaction: self).cursor()
    try cursor.seekFirst()
    while let element = try cursor.next() {
      if element.isBucket { names.append(element.key) }
    }
    return names
  }

  /// Copies bytes of the database file as a snapshot has them: both meta pages describe this state.
  ///
  /// Pages that are free in this state may change while they are read, so hash and send the copy.
  /// - Returns: fewer bytes than asked only at the end; empty at or after it.
  public func snapshotBytes(at offset: Int, count: Int) -> Bytes {
    let end = Swift.min(offset + count, size)
    guard offset < end else { return Bytes() }
    var writer = ByteWriter(capacity: end - offset)
    let metaEnd = 2 * meta.pageSize
    if offset < metaEnd {
      var older = meta
      // The first of all has none before it; the copy is one transaction later then.
      older.transaction = meta.transaction == 0 ? 1 : meta.transaction - 1  // checked: not 0
      let slots = meta.transaction % 2 == 0 ? [meta, older] : [older, meta]
      var head = ByteWriter(capacity: metaEnd)
      for slot in slots { head.append(slot.encodedPage()) }
      writer.append(head.finish()[offset..<Swift.min(end, metaEnd)])
    }
    let start = Swift.max(offset, metaEnd)
    if start < end {
      writer.append(UnsafeRawBufferPointer(rebasing: pages.mapping.memory[start..<end]))
    }
    return writer.finish()
  }
}

/// A bucket in one state: a B+tree of keys and values in key order.
public struct BoltBucket: Sendable {
  let root: UInt64
  /// The leaf page stored inside the parent's value; then `root` is 0.
  let inline: Bytes?
  let transaction: BoltReadTransaction

  init(root: UInt64, inline: Bytes?, transaction: BoltReadTransaction) {
    self.root = root
    self.inline = inline
    self.transaction = transaction
  }

  /// - Parameter header: value of the element that holds the bucket.
  init(header: Bytes, transaction: BoltReadTransaction) throws(BoltError) {
    var reader = ByteReader(header)
    guard let root = reader.readLittleEndian(UInt64.self), reader.skip(8) else {
      throw BoltError.invalid("bucket header has \(header.count) bytes, needs 16")
    }
    self.init(
      root: root, inline: root == 0 ? header[Format.bucketHeaderBytes..<header.count] : nil,
      transaction: transaction)
  }

  func rootPage() throws(BoltError) -> Page {
    if let inline { return try transaction.inlinePage(inline) }
    return try page(root)
  }

  func page(_ id: UInt64) throws(BoltError) -> Page {
    try transaction.pages.page(id, owner: transaction)
  }

  /// Value of a key; `nil` when it is missing or is a bucket. The slice pins this state.
  /// - Complexity: O(log n) pages.
  public func get(_ key: Bytes) throws(BoltError) -> Bytes? {
    guard let (value, isBucket) = try find(key), !isBucket else { return nil }
    return value
  }

  func find(_ key: Bytes) throws(BoltError) -> (Bytes, isBucket: Bool)? {
    var page = try rootPage()
    var depth = 0
    while !page.isLeaf {
      guard page.count > 0, depth < BoltCursor.depthMax else {
        throw BoltError.corrupt(page: page.id, "branch is empty or part of a cycle")
      }
      depth += 1
      page = try self.page(page.child(try page.childIndex(for: key)))
    }
    let (index, found) = try page.search(key)
    return found ? (try page.value(index), page.isBucket(index)) : nil
  }

  /// A cursor that stands nowhere: seek first.
  public func cursor() -> BoltCursor { BoltCursor(self) }
}

extension BoltReadTransaction {
  /// The page stored inside a bucket's value; the slice of the value already pins this state.
  fileprivate func inlinePage(_ bytes: Bytes) throws(BoltError) -> Page {
    try bytes.withUnsafeBytes { (memory) throws(BoltError) in
      try Page(memory, id: 0, pageSize: nil, owner: self)
    }
  }
}
