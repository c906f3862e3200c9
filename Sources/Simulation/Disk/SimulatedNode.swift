import Raft

/// A file: what processes see, what the disk holds, and the changes in between.
final class SimulatedInode {
  /// A change that is in the page cache and not on the disk.
  enum Change {
    case write(offset: Int, bytes: [UInt8])
    /// Cut, or extended with zeros.
    case resize(Int)
  }

  /// What processes see.
  let memory = SimulatedMemory()
  private(set) var size = 0
  /// What the disk holds.
  private(set) var durable: [UInt8] = []
  /// Changes since the last sync, in order.
  private(set) var pending: [Change] = []
  /// The open file that holds the lock.
  var lockHolder: ObjectIdentifier?

  init() {}

  /// The same file in the page cache of a machine whose process was killed.
  init(copying other: SimulatedInode) {
    memory.base.copyMemory(from: other.memory.base, byteCount: other.size)
    size = other.size
    durable = other.durable
    pending = other.pending
  }

  /// A file that holds exactly these bytes, durably.
  init(durable bytes: [UInt8]) {
    bytes.withUnsafeBytes {
      if let start = $0.baseAddress { memory.base.copyMemory(from: start, byteCount: $0.count) }
    }
    size = bytes.count
    durable = bytes
  }

  func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) {
    guard let start = bytes.baseAddress, bytes.count > 0 else { return }
    (memory.base + offset).copyMemory(from: start, byteCount: bytes.count)
    size = max(size, offset + bytes.count)
    pending.append(.write(offset: offset, bytes: Array(bytes)))
  }

  func resize(to newSize: Int) {
    if newSize < size {
      (memory.base + newSize).initializeMemory(as: UInt8.self, repeating: 0, count: size - newSize)
    }
    size = newSize
    pending.append(.resize(newSize))
  }

  /// Makes everything durable.
  func sync() {
    for change in pending { Self.apply(change, to: &durable) }
    pending.removeAll()
  }

  /// Gives up what was to be made durable.
  func forget() { pending.removeAll() }

  /// The disk puts the last write that waits elsewhere in the file, and nobody hears of it: not where it
  /// should be, and over what was there.
  /// - Returns: whether there was one.
  func misdirect() -> Bool {
    for place in pending.indices.reversed() {
      guard case .write(let offset, let bytes) = pending[place], bytes.count > 0 else { continue }
      let wrong =
        offset >= 4 * Self.sectorBytes
        ? offset - 4 * Self.sectorBytes : offset + 4 * Self.sectorBytes
      pending[place] = .write(offset: wrong, bytes: bytes)
      return true
    }
    return false
  }

  /// Damages one bit in the cache and on the disk.
  func flipBit(at offset: Int, bit: Int) {
    let mask = UInt8(1) << UInt8(bit)
    let place = memory.base + offset
    place.storeBytes(of: place.load(as: UInt8.self) ^ mask, as: UInt8.self)
    if offset < durable.count { durable[offset] ^= mask }
  }

  // MARK: Power failure

  static let sectorBytes = 512

  private static func apply(_ change: Change, to bytes: inout [UInt8]) {
    switch change {
    case .write(let offset, let new):
      let end = offset + new.count
      if bytes.count < end { bytes += [UInt8](repeating: 0, count: end - bytes.count) }
      bytes.withUnsafeMutableBytes { target in
        new.withUnsafeBytes { source in
          guard let from = source.baseAddress, let to = target.baseAddress else { return }
          (to + offset).copyMemory(from: from, byteCount: source.count)
        }
      }
    case .resize(let size):
      if size < bytes.count {
        bytes.removeLast(bytes.count - size)
      } else {
        bytes += [UInt8](repeating: 0, count: size - bytes.count)
      }
    }
  }

  /// What the disk may hold after the power failed: a random part of the pending changes, writes in
  /// part torn at sector boundaries.
  func torn(_ random: inout SplitMix64) -> [UInt8] {
    var bytes = durable
    guard !pending.isEmpty else { return bytes }
    if random.below(2) == 0 {
      let kept = random.below(pending.count + 1)
      for change in pending[..<kept] { Self.apply(change, to: &bytes) }
      if kept < pending.count { Self.tear(pending[kept], &bytes, &random) }
      return bytes
    }
    for change in pending {
      switch random.below(3) {
      case 0: Self.apply(change, to: &bytes)
      case 1: Self.tear(change, &bytes, &random)
      default: continue
      }
    }
    return bytes
  }

  /// Keeps random sectors of a write; a resize has no parts.
  private static func tear(
    _ change: Change, _ bytes: inout [UInt8], _ random: inout SplitMix64
  ) {
    guard case .write(let offset, let new) = change else { return }
    var start = 0
    while start < new.count {
      let length = min(sectorBytes - (offset + start) % sectorBytes, new.count - start)
      if random.below(2) == 0 {
        let part = Array(new[start..<(start + length)])
        apply(.write(offset: offset + start, bytes: part), to: &bytes)
      }
      start += length
    }
  }
}

/// A directory: its entries as processes see them, as the disk holds them, and the changes in between.
final class SimulatedDirectory {
  enum Entry {
    case file(SimulatedInode)
    case directory(SimulatedDirectory)
  }

  enum Change {
    case add(String, Entry)
    case remove(String)
    case rename(String, to: String)
  }

  private(set) var entries: [String: Entry] = [:]
  private(set) var durable: [String: Entry] = [:]
  private(set) var pending: [Change] = []

  init() {}

  /// - Parameter pending: changes that `entries` shows and `durable` does not.
  init(entries: [String: Entry], durable: [String: Entry], pending: [Change]) {
    self.entries = entries
    self.durable = durable
    self.pending = pending
  }

  func make(_ change: Change) {
    Self.apply(change, to: &entries)
    pending.append(change)
  }

  func sync() {
    for change in pending { Self.apply(change, to: &durable) }
    pending.removeAll()
  }

  /// Makes everything below durable.
  func syncAll() {
    sync()
    for entry in entries.values {
      switch entry {
      case .file(let inode): inode.sync()
      case .directory(let directory): directory.syncAll()
      }
    }
  }

  static func apply(_ change: Change, to entries: inout [String: Entry]) {
    switch change {
    case .add(let name, let entry): entries[name] = entry
    case .remove(let name): entries[name] = nil
    case .rename(let from, let to):
      if let entry = entries.removeValue(forKey: from) { entries[to] = entry }
    }
  }

  /// The entries that the disk may hold after the power failed: changes get there in order.
  /// - Parameter kept: pending changes that got there.
  func durableEntries(kept: Int) -> [String: Entry] {
    var entries = durable
    for change in pending[..<kept] { Self.apply(change, to: &entries) }
    return entries
  }
}
