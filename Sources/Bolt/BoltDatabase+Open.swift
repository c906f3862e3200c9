import Bytes
import FileSystem

extension BoltDatabase {
  /// Writes an empty database of four pages: two metas, an empty freelist, an empty root leaf.
  /// - Source: bbolt `db.init`.
  static func initialise(
    _ file: any StorageFile, pageSize: Int, noSync: Bool
  ) throws(BoltError) {
    var writer = ByteWriter(capacity: 4 * pageSize)
    for transaction: UInt64 in 0...1 {
      let meta = Meta(
        pageSize: pageSize, root: 3, sequence: 0, freelist: 2, highWater: 4,
        transaction: transaction)
      writer.append(meta.encodedPage())
    }
    for (page, flags) in [(UInt64(2), Format.freelistFlag), (3, Format.leafFlag)] {
      writer.appendLittleEndian(page)
      writer.appendLittleEndian(flags)
      writer.append(repeating: 0, count: pageSize - 10)
    }
    let bytes = writer.finish()
    try disk { () throws(FileError) in
      try bytes.withUnsafeBytes { (memory) throws(FileError) in try file.write(memory, at: 0) }
      if !noSync { try file.sync() }
    }
  }

  /// The newer of the two valid meta pages.
  /// - Throws: `invalid` with both reasons when neither is valid.
  static func readMeta(_ file: any StorageFile, size: Int) throws(BoltError) -> Meta {
    var reasons: [String] = []
    var best: Meta?
    // The page size stands in the meta page itself: meta 1 is found by trying the sizes in use.
    var offsets = [0]
    var candidate = Format.pageSizes.lowerBound
    while candidate <= Format.pageSizes.upperBound {
      offsets.append(candidate)
      candidate *= 2
    }
    for offset in offsets where offset + Format.pageHeaderBytes + Format.metaBytes <= size {
      let storage = ByteStorage.make(capacity: Format.metaBytes)
      let memory = UnsafeMutableRawBufferPointer(start: storage.base, count: Format.metaBytes)
      _ = try disk { () throws(FileError) in
        try file.read(into: memory, at: offset + Format.pageHeaderBytes)
      }
      do throws(BoltError) {
        let meta = try Meta.decode(Bytes(owner: storage, UnsafeRawBufferPointer(memory)))
        guard offset == 0 || meta.pageSize == offset else { continue }
        if best == nil || meta.transaction > best!.transaction { best = meta }
      } catch { reasons.append("offset \(offset): \(error.description)") }
    }
    guard let best else {
      throw BoltError.invalid(
        "not a database or damaged: \(reasons.first ?? "file has only \(size) bytes")")
    }
    return best
  }
}
