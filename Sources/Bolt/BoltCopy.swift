import Bytes
import FileSystem

/// A copy of a database without free pages, in a file of its own, that follows the original: what
/// defrag makes while commits go on.
///
/// `follow` first copies a whole state, later only what changed since. The copy is written to the disk
/// on the way, some MiB at a time: an fsync of another file may have to wait for what is not.
///
/// - Shape: holds one state of the original open, and at most one batch in memory.
public final class BoltCopy {
  /// etcd copies 10,000 keys in a commit.
  private static let batchKeys = 10_000
  private static let batchBytes = 4 << 20

  private let target: BoltDatabase
  private let isSynced: Bool
  /// The state that the copy holds.
  private var copied: BoltReadTransaction?
  private let shouldStop: @Sendable () -> Bool

  /// - Parameters:
  ///   - path: must not exist, or be empty.
  ///   - shouldStop: asked before every commit; true ends `follow` with an error.
  public init(
    of source: BoltReadTransaction, to path: String, on fileSystem: any FileSystem,
    options: BoltOptions, shouldStop: @escaping @Sendable () -> Bool = { false }
  ) throws(BoltError) {
    var unsynced = options
    unsynced.noSync = true
    unsynced.pageSize = source.meta.pageSize
    target = try BoltDatabase(fileSystem, path: path, options: unsynced)
    isSynced = !options.noSync
    self.shouldStop = shouldStop
  }

  /// Brings the copy to a state of the database that it was made for.
  /// - Returns: keys written and deleted.
  /// - Throws: `invalid` when the state holds nested buckets, which etcd never writes; `stopped`.
  public func follow(_ state: BoltReadTransaction) throws(BoltError) -> Int {
    var changes = 0
    let names = try state.bucketNames()
    for name in try copied?.bucketNames() ?? [] where !names.contains(name) {
      var removal = BoltChange(bucket: name)
      removal.remove = true
      try target.commit([removal])
    }
    for name in names {
      if try copied?.bucket(name) == nil { try target.commit([BoltChange(bucket: name)]) }
      changes += try follow(state, name)
    }
    copied = state
    return changes
  }

  private func follow(_ state: BoltReadTransaction, _ name: Bytes) throws(BoltError) -> Int {
    guard let bucket = try state.bucket(name) else { return 0 }
    let before = try copied?.bucket(name)
    var new = try ChangedCursor(bucket, skipping: before.map(PageSet.init) ?? PageSet())
    var old = try before.map { (before) throws(BoltError) in
      try ChangedCursor(before, skipping: PageSet(bucket))
    }
    var batch = Batch(name)
    var total = 0
    var (added, removed) = (try new.next(), try old?.next())
    while added != nil || removed != nil {
      if let gone = removed, added.map({ gone.key < $0.key }) ?? true {
        batch.add(BoltOperation(key: gone.key, value: nil))
        removed = try old?.next()
      } else if let element = added {
        guard !element.isBucket else {
          throw BoltError.invalid("bucket \(name) holds the nested bucket \(element.key)")
        }
        // What only moved to another page is in the copy already.
        let isSame = removed?.key == element.key
        if !isSame || removed?.value != element.value {
          batch.add(BoltOperation(key: element.key, value: element.value))
        }
        if isSame { removed = try old?.next() }
        added = try new.next()
      }
      if batch.change.operations.count >= Self.batchKeys || batch.bytes >= Self.batchBytes {
        total += try write(&batch)
      }
    }
    return total + (try write(&batch))
  }

  private struct Batch {
    var change: BoltChange
    var bytes = 0

    init(_ bucket: Bytes) { change = BoltChange(bucket: bucket, fillPercent: 0.9) }

    mutating func add(_ operation: BoltOperation) {
      change.operations.append(operation)
      bytes += operation.key.count + (operation.value?.count ?? 0)
    }
  }

  private func write(_ batch: inout Batch) throws(BoltError) -> Int {
    let count = batch.change.operations.count
    guard count > 0 else { return 0 }
    if shouldStop() { throw BoltError(reason: .stopped, description: "the copy was given up") }
    try target.commit([batch.change])
    if isSynced { try target.writeBack() }
    batch = Batch(batch.change.bucket)
    return count
  }

  /// Makes what was copied so far durable.
  public func sync() throws(BoltError) {
    if isSynced { try target.sync() }
  }

  /// Makes the copy durable and closes it.
  public func finish() throws(BoltError) {
    try sync()
    target.close()
    copied = nil
  }

  /// Closes the copy as it is.
  public func abandon() {
    target.close()
    copied = nil
  }
}

extension BoltDatabase {
  /// Copies a state into a new file without free pages and makes that durable.
  /// - Parameter path: must not exist, or be empty.
  /// - Throws: as `BoltCopy`; the copy stays as far as it came.
  public static func compact(
    _ source: BoltReadTransaction, to path: String, on fileSystem: any FileSystem,
    options: BoltOptions
  ) throws(BoltError) {
    let copy = try BoltCopy(of: source, to: path, on: fileSystem, options: options)
    do throws(BoltError) {
      _ = try copy.follow(source)
      try copy.finish()
    } catch {
      copy.abandon()
      throw error
    }
  }
}
