import Bytes
import FileSystem
import Synchronization

/// How a database file is opened.
public struct BoltOptions: Sendable {
  /// Page size of a file that is created; an existing file keeps its own.
  public var pageSize = 4096
  /// Bytes of address space to map at once; a larger file is mapped again when it outgrows it.
  public var mapBytes = 10 << 30
  /// Skips every fsync: for tests and `--unsafe-no-fsync`.
  public var noSync = false
  /// Opens the file for reading alone: it must exist, is shared with other readers, and every commit
  /// is refused.
  public var isReadOnly = false
  /// Looks at every page of a member's database when it is opened or replaced, the order of keys
  /// included: `ETCD_VERIFY=all`.
  public var verifiesPages = false
  public init() {}
}

/// Changes of one top-level bucket inside a commit.
public struct BoltChange: Sendable {
  public var bucket: Bytes
  /// Empties the bucket, nested buckets included, before `operations`.
  public var clear = false
  /// Removes the bucket; `operations` must be empty.
  public var remove = false
  /// Sorted by key, each key once.
  public var operations: [BoltOperation] = []
  /// Part of a page to fill before it is cut: 0.9 for keys that only grow, 0.5 otherwise.
  public var fillPercent = 0.5

  public init(bucket: Bytes, operations: [BoltOperation] = [], fillPercent: Double = 0.5) {
    self.bucket = bucket
    self.operations = operations
    self.fillPercent = fillPercent
  }
}

/// A database file in bbolt's format: many readers, one writer.
///
/// `read()` may be called from any thread. `commit` is called by one storage thread at a time.
///
/// - Source: bbolt `db.go`. The file is always left without a stored freelist, as etcd does.
public final class BoltDatabase: Sendable {
  private struct Shared {
    var meta: Meta
    var mapping: any FileMapping
    /// Open readers by the transaction they look at.
    var readers: [UInt64: Int] = [:]
    var pageCounts = PageCounts()
  }

  private struct Writer {
    var freelist = Freelist()
    /// Whether `freelist` was built from the file yet.
    var isFreelistReady = false
    var fileSize: Int
    /// Set when a write failed: the state in memory and on disk may differ from then on.
    var failure: BoltError?
  }

  private struct PageCounts {
    var free = 0
    var pending = 0
  }

  /// Bytes of a commit that may wait to be written to the disk.
  private static let writeBackBytes = 4 << 20

  private let file: any StorageFile
  private let options: BoltOptions
  private let shared: Mutex<Shared>
  private let writer: Mutex<Writer>

  /// Opens a database, creating it when the file is missing or empty.
  /// - Throws: `BoltError` with reason `locked` when another process has it open, `invalid` when
  ///   neither meta page is good, `file` when the disk refuses.
  public init(
    _ fileSystem: any FileSystem, path: String, options: BoltOptions = BoltOptions()
  ) throws(BoltError) {
    let readOnly = options.isReadOnly
    let file = try Self.disk { () throws(FileError) in
      try fileSystem.open(path, readOnly ? .read : .create(permissions: 0o600))
    }
    let isLocked = try Self.disk { () throws(FileError) in
      readOnly ? try file.tryLockShared() : try file.tryLock()
    }
    guard isLocked else {
      file.close()
      throw BoltError(
        reason: .locked, description: "\(path) is locked by another process; stop it first")
    }
    do throws(BoltError) {
      var size = try Self.disk { () throws(FileError) in try file.size() }
      if size == 0, !readOnly {
        try Self.initialise(file, pageSize: options.pageSize, noSync: options.noSync)
        size = 4 * options.pageSize
      } else if !options.noSync, !readOnly {
        // A process that was killed may have left a commit in the page cache only. The next commit
        // reuses pages of the one before it, which must not be needed any more.
        try Self.disk { () throws(FileError) in try file.sync() }
      }
      let meta = try Self.readMeta(file, size: size)
      guard meta.highWater <= UInt64(size / meta.pageSize) else {
        throw BoltError.invalid(
          "file has \(size) bytes, its meta page needs \(meta.highWater) pages of \(meta.pageSize)")
      }
      let mapping = try Self.disk { () throws(FileError) in
        try file.map(length: readOnly ? size : Swift.max(options.mapBytes, size))
      }
      self.shared = Mutex(Shared(meta: meta, mapping: mapping))
      let refusal = BoltError(reason: .argument, description: "\(path) was opened for reading only")
      self.writer = Mutex(Writer(fileSize: size, failure: readOnly ? refusal : nil))
    } catch {
      file.close()
      throw BoltError(reason: error.reason, description: "\(path): \(error.description)")
    }
    self.file = file
    self.options = options
  }

  /// Releases the lock and the descriptor. Open readers stay valid.
  public func close() { file.close() }

  /// The newest committed state.
  public func read() -> BoltReadTransaction {
    let (meta, mapping) = shared.withLock { shared in
      shared.readers[shared.meta.transaction, default: 0] += 1
      return (shared.meta, shared.mapping)
    }
    return BoltReadTransaction(meta: meta, mapping: mapping, database: self)
  }

  func endRead(_ transaction: UInt64) {
    shared.withLock { shared in
      let left = shared.readers[transaction]! - 1
      shared.readers[transaction] = left == 0 ? nil : left
    }
  }

  /// Bytes of the database, and of those the bytes in use: what the next commit could not write to.
  ///
  /// Pages that the last commit gave up are free for the next one as soon as nobody reads what was before; without a
  /// further commit they would count as in use for ever. Until the first commit after opening, every page counts.
  public var sizes: (total: Int, inUse: Int) {
    shared.withLock { shared in
      let isOldRead = shared.readers.keys.contains { $0 < shared.meta.transaction }
      let counts = shared.pageCounts
      let free = counts.free + (isOldRead ? 0 : counts.pending)  // checked: pages of one file
      let total = Int(shared.meta.highWater) * shared.meta.pageSize
      return (total, total - free * shared.meta.pageSize)
    }
  }

  /// Open read transactions.
  public var openReaders: Int { shared.withLock { $0.readers.values.reduce(0, +) } }

  /// Applies all changes atomically and durably: after it returns they survive a power cut. When it throws
  /// `argument` or `invalid`, nothing was changed; after `file`, the file holds the state before or, when the
  /// last fsync or the mapping behind it failed, perhaps the new one.
  ///
  /// - Throws: `argument` for an empty or too long key; `invalid` for a damaged page on the way;
  ///   `file` when a write or fsync failed, after which every further commit is refused.
  public func commit(_ changes: [BoltChange]) throws(BoltError) {
    try Self.validate(changes)
    let result = writer.withLock { writer in
      Result { () throws(BoltError) in try self.commitLocked(changes, &writer) }
    }
    try result.get()
  }

  private func commitLocked(_ changes: [BoltChange], _ writer: inout Writer) throws(BoltError) {
    if let failure = writer.failure { throw failure }
    let transaction = read()
    try prepareFreelist(transaction, &writer)
    let oldest = shared.withLock { shared in
      // The transaction of this commit itself reads the newest state, which is never released.
      shared.readers.keys.min()
    }
    writer.freelist.release(oldestReader: oldest)
    var tree = TreeWriter(transaction: transaction, freelist: writer.freelist)
    guard let root = try Self.apply(changes, to: &tree, transaction) else { return }
    var meta = transaction.meta
    meta.root = root
    meta.freelist = Format.noFreelist
    meta.highWater = tree.highWater
    meta.transaction += 1  // checked: `Meta.decode` leaves room
    do throws(FileError) {
      try write(tree.written, meta: meta, &writer)
    } catch {
      let failure = BoltError(reason: .file, description: error.description)
      writer.failure = failure
      throw failure
    }
    var freelist = tree.freelist
    freelist.free(tree.released, by: meta.transaction)
    writer.freelist = freelist
    try publish(meta, fileSize: writer.fileSize, freelist)
  }

  /// Builds the list of free pages: from the page where Go stored it, or by walking the trees.
  private func prepareFreelist(
    _ transaction: BoltReadTransaction, _ writer: inout Writer
  ) throws(BoltError) {
    guard !writer.isFreelistReady else { return }
    let survey = try transaction.survey()
    if let problem = survey.problems.first { throw BoltError.invalid(problem) }
    writer.freelist.seed(survey.unreachable)
    writer.isFreelistReady = true
  }

  private static func validate(_ changes: [BoltChange]) throws(BoltError) {
    for change in changes {
      var previous: Bytes?
      for operation in change.operations {
        guard !operation.key.isEmpty, operation.key.count <= Format.keyBytesMax else {
          throw BoltError(
            reason: .argument,
            description: "key of \(operation.key.count) bytes, allowed 1...\(Format.keyBytesMax)")
        }
        if let previous {
          precondition(previous < operation.key, "operations of \(change.bucket) are not sorted")
        }
        previous = operation.key
      }
      precondition(!change.remove || change.operations.isEmpty, "a removed bucket gets no keys")
    }
  }

  /// The new root page, or `nil` when nothing changed.
  private static func apply(
    _ changes: [BoltChange], to tree: inout TreeWriter, _ transaction: BoltReadTransaction
  ) throws(BoltError) -> UInt64? {
    var headers: [BoltOperation] = []
    for change in changes.sorted(by: { $0.bucket < $1.bucket }) {
      var bucket = try transaction.bucket(change.bucket)
      if change.clear || change.remove, let present = bucket {
        try tree.drop(present)
        bucket = nil
        if change.remove { headers.append(BoltOperation(key: change.bucket, value: nil)) }
      }
      if change.remove { continue }
      let root = try tree.update(
        bucket, change.operations, fillPercent: change.fillPercent, mayInline: true)
      guard let root else { continue }
      headers.append(
        BoltOperation(
          key: change.bucket, value: header(of: root), flags: Format.bucketElementFlag))
    }
    guard !headers.isEmpty else { return nil }
    let top = BoltBucket(root: transaction.meta.root, inline: nil, transaction: transaction)
    guard case .page(let page) = try tree.update(top, headers, fillPercent: 0.5, mayInline: false)
    else { return nil }
    return page
  }

  /// Value that stands for a bucket in its parent.
  private static func header(of root: TreeWriter.Root) -> Bytes {
    var writer = ByteWriter(capacity: 32)
    switch root {
    case .page(let page):
      writer.appendLittleEndian(page)
      writer.appendLittleEndian(UInt64(0))
    case .inline(let bytes):
      writer.append(repeating: 0, count: Format.bucketHeaderBytes)
      writer.append(bytes)
    }
    return writer.finish()
  }

  /// Pages first, then fsync, then the meta page that makes them count, then fsync.
  private func write(
    _ pages: [(page: UInt64, bytes: Bytes)], meta: Meta, _ writer: inout Writer
  ) throws(FileError) {
    let needed = Int(meta.highWater) * meta.pageSize
    if needed > writer.fileSize {
      let grown = needed + Swift.min(needed, 16 << 20)
      try file.truncate(to: grown)
      if !options.noSync { try file.sync() }
      writer.fileSize = grown
    }
    var unwritten = 0
    for entry in pages.sorted(by: { $0.page < $1.page }) {
      try entry.bytes.withUnsafeBytes { (memory) throws(FileError) in
        try file.write(memory, at: Int(entry.page) * meta.pageSize)
      }
      unwritten += entry.bytes.count
      // An fsync of the log waits for what the journal finds unwritten.
      if unwritten >= Self.writeBackBytes, !options.noSync {
        try file.writeBack()
        unwritten = 0
      }
    }
    if !options.noSync { try file.syncData() }
    try meta.encodedPage().withUnsafeBytes { (memory) throws(FileError) in
      try file.write(memory, at: Int(meta.transaction % 2) * meta.pageSize)
    }
    if !options.noSync { try file.syncData() }
  }

  private func publish(_ meta: Meta, fileSize: Int, _ freelist: Freelist) throws(BoltError) {
    let mapped = shared.withLock { $0.mapping.memory.count }
    var larger: (any FileMapping)?
    if fileSize > mapped {
      larger = try Self.disk { () throws(FileError) in
        try file.map(length: Swift.max(fileSize, mapped * 2))
      }
    }
    shared.withLock { shared in
      shared.meta = meta
      if let larger { shared.mapping = larger }
      shared.pageCounts = PageCounts(free: freelist.freeCount, pending: freelist.pendingCount)
    }
  }

  /// Hands everything written so far to the disk, for copies made without fsync.
  func writeBack() throws(BoltError) {
    try Self.disk { () throws(FileError) in try file.writeBack() }
  }

  /// Gives back the disk space of a database whose file lost its name, and closes it. The file goes in
  /// parts with an fsync behind each: a journal frees what one of its transactions removed in one go, and
  /// every other fsync waits for it.
  /// - Returns: false while readers are open: nothing was done.
  public func discard() -> Bool {
    guard openReaders == 0 else { return false }
    let part = 16 << 20
    // Whatever fails here: the system frees the rest with the last descriptor.
    if var size = try? file.size() {
      while size > part {
        size -= part
        guard (try? file.truncate(to: size)) != nil else { break }
        if !options.noSync { guard (try? file.sync()) != nil else { break } }
      }
    }
    file.close()
    return true
  }

  /// Makes everything written so far durable, for copies made without fsync.
  func sync() throws(BoltError) { try Self.disk { () throws(FileError) in try file.sync() } }

  /// Runs a file operation and names its failure.
  static func disk<R>(_ body: () throws(FileError) -> R) throws(BoltError) -> R {
    do throws(FileError) { return try body() } catch {
      throw BoltError(reason: .file, description: error.description)
    }
  }
}
