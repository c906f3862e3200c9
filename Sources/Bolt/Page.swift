import Bytes
import FileSystem

/// A page inside a mapping or an inline bucket, read with bounds checks: a flipped byte gives an
/// error with the page id, never a read outside of the page.
///
/// Unsafe on purpose: this is the one place that reads mapped pages; `owner` keeps the memory alive.
struct Page {
  let id: UInt64
  let isLeaf: Bool
  let count: Int
  /// Pages that follow and belong to this one.
  let overflow: Int
  private let base: UnsafeRawPointer
  /// Bytes of the page with its overflow.
  private let size: Int
  let owner: AnyObject

  /// - Parameter id: the expected page id; nil for an inline page, whose header says 0.
  init(
    _ memory: UnsafeRawBufferPointer, id: UInt64, pageSize: Int?, owner: AnyObject
  ) throws(BoltError) {
    guard memory.count >= Format.pageHeaderBytes, let base = memory.baseAddress else {
      throw BoltError.corrupt(page: id, "outside of the file of \(memory.count) bytes left")
    }
    let stored = UInt64(littleEndian: base.loadUnaligned(as: UInt64.self))
    let flags = UInt16(littleEndian: base.loadUnaligned(fromByteOffset: 8, as: UInt16.self))
    let count = UInt16(littleEndian: base.loadUnaligned(fromByteOffset: 10, as: UInt16.self))
    let overflow = UInt32(littleEndian: base.loadUnaligned(fromByteOffset: 12, as: UInt32.self))
    if pageSize != nil, stored != id {
      throw BoltError.corrupt(page: id, "header names page \(stored)")
    }
    guard flags == Format.leafFlag || flags == Format.branchFlag else {
      throw BoltError.corrupt(page: id, "flags \(flags) are neither branch nor leaf")
    }
    let size = pageSize.map { ($0 * (Int(overflow) + 1)) } ?? memory.count
    guard size <= memory.count else {
      throw BoltError.corrupt(page: id, "overflow \(overflow) runs past the end of the file")
    }
    guard Format.pageHeaderBytes + Int(count) * Format.elementBytes <= size else {
      throw BoltError.corrupt(page: id, "\(count) elements do not fit \(size) bytes")
    }
    self.id = id
    self.isLeaf = flags == Format.leafFlag
    self.count = Int(count)
    self.overflow = Int(overflow)
    self.base = base
    self.size = size
    self.owner = owner
  }

  private func field(_ index: Int, _ offset: Int) -> Int {
    let at = Format.pageHeaderBytes + index * Format.elementBytes + offset
    return Int(UInt32(littleEndian: base.loadUnaligned(fromByteOffset: at, as: UInt32.self)))
  }

  private func slice(
    _ index: Int, position: Int, skip: Int, length: Int
  ) throws(BoltError) -> UnsafeRawBufferPointer {
    let start = Format.pageHeaderBytes + index * Format.elementBytes + position + skip
    guard start + length <= size else {
      throw BoltError.corrupt(page: id, "element \(index) runs past the page's \(size) bytes")
    }
    return UnsafeRawBufferPointer(start: base + start, count: length)
  }

  /// Key of an element.
  func key(_ index: Int) throws(BoltError) -> Bytes {
    Bytes(owner: owner, try keyMemory(index))
  }

  /// Key without a reference to the owner; valid while the page is.
  private func keyMemory(_ index: Int) throws(BoltError) -> UnsafeRawBufferPointer {
    isLeaf
      ? try slice(index, position: field(index, 4), skip: 0, length: field(index, 8))
      : try slice(index, position: field(index, 0), skip: 0, length: field(index, 4))
  }

  /// Value of a leaf element.
  func value(_ index: Int) throws(BoltError) -> Bytes {
    let memory = try slice(
      index, position: field(index, 4), skip: field(index, 8), length: field(index, 12))
    return Bytes(owner: owner, memory)
  }

  /// Key and value of a leaf element without a reference to the owner; valid while the page is.
  func memory(
    _ index: Int
  ) throws(BoltError) -> (key: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer) {
    let (position, keyBytes) = (field(index, 4), field(index, 8))
    return (
      try slice(index, position: position, skip: 0, length: keyBytes),
      try slice(index, position: position, skip: keyBytes, length: field(index, 12))
    )
  }

  /// Whether a leaf element holds a bucket.
  func isBucket(_ index: Int) -> Bool {
    isLeaf && UInt32(field(index, 0)) & Format.bucketElementFlag != 0
  }

  /// Child page of a branch element.
  func child(_ index: Int) -> UInt64 {
    let at = Format.pageHeaderBytes + index * Format.elementBytes + 8
    return UInt64(littleEndian: base.loadUnaligned(fromByteOffset: at, as: UInt64.self))
  }

  /// Number of elements whose key is below `key`, and whether the next one equals it.
  func search(_ key: Bytes) throws(BoltError) -> (index: Int, found: Bool) {
    var low = 0
    var high = count
    while low < high {
      let middle = (low + high) / 2
      let probe = Bytes(owner: nil, try keyMemory(middle))
      let order = probe.compare(key)
      if order == 0 { return (middle, true) }
      if order < 0 { low = middle + 1 } else { high = middle }
    }
    return (low, false)
  }

  /// The child of a branch that holds `key`: the last one that starts at or before it.
  func childIndex(for key: Bytes) throws(BoltError) -> Int {
    let (index, found) = try search(key)
    return found ? index : Swift.max(index - 1, 0)
  }
}

/// A mapped file and its page size: turns page ids into pages.
struct PageMap: Sendable {
  let mapping: any FileMapping
  let pageSize: Int
  let highWater: UInt64

  func page(_ id: UInt64, owner: AnyObject) throws(BoltError) -> Page {
    guard id >= 2, id < highWater else {
      throw BoltError.corrupt(page: id, "outside of the pages 2..<\(highWater)")
    }
    let limit = Swift.min(mapping.memory.count, Int(highWater) * pageSize)
    let start = Int(id) * pageSize
    guard start + pageSize <= limit else {
      throw BoltError.corrupt(page: id, "outside of the mapped \(limit) bytes")
    }
    let memory = UnsafeRawBufferPointer(rebasing: mapping.memory[start..<limit])
    return try Page(memory, id: id, pageSize: pageSize, owner: owner)
  }

  /// Asks for pages that are read soon. Ids outside of the file are passed over.
  func willNeed(_ ids: Range<UInt64>) {
    guard ids.lowerBound >= 2, ids.lowerBound < ids.upperBound, ids.upperBound <= highWater else {
      return
    }
    let start = Int(ids.lowerBound) * pageSize
    let end = Swift.min(Int(ids.upperBound) * pageSize, mapping.memory.count)
    if start < end { mapping.willNeed(start..<end) }
  }
}
