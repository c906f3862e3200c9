import Bytes
import FileSystem

extension BoltDatabase {
  /// Copies every bucket of a state into a new file without free pages: what defrag does.
  ///
  /// - Parameter path: must not exist, or be empty.
  /// - Parameter batchKeys: keys a commit of the copy; etcd copies 10,000.
  /// - Throws: `invalid` when the state holds nested buckets, which etcd never writes.
  public static func compact(
    _ source: BoltReadTransaction, to path: String, on fileSystem: any FileSystem,
    options: BoltOptions, batchKeys: Int = 10_000
  ) throws(BoltError) {
    var unsynced = options
    unsynced.noSync = true
    unsynced.pageSize = source.meta.pageSize
    let target = try BoltDatabase(fileSystem, path: path, options: unsynced)
    defer { target.close() }
    for name in try source.bucketNames() {
      guard let bucket = try source.bucket(name) else { continue }
      try target.commit([BoltChange(bucket: name)])
      var cursor = bucket.cursor()
      try cursor.seekFirst()
      var batch = BoltChange(bucket: name, fillPercent: 0.9)
      while let element = try cursor.next() {
        guard !element.isBucket else {
          throw BoltError.invalid("bucket \(name) holds the nested bucket \(element.key)")
        }
        batch.operations.append(BoltOperation(key: element.key, value: element.value))
        if batch.operations.count == batchKeys {
          try target.commit([batch])
          batch.operations.removeAll(keepingCapacity: true)
        }
      }
      if !batch.operations.isEmpty { try target.commit([batch]) }
    }
    if !options.noSync { try target.sync() }
  }
}
