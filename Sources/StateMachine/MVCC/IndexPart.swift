import Bytes
import EtcdAPI
import Protobuf

/// Neighbouring rows of bucket `key` on their way into the index: read in revision order, then sorted
/// by key. One thread's share of the work.
struct IndexPart: @unchecked Sendable {
  // @unchecked: long keys are addresses inside the committed state, see `RowKey`.

  struct Row: BitwiseCopyable {
    let key: RowKey
    let revision: KeyRevision
  }

  /// A row whose key hung on a lease when it was written.
  struct LeasedRow {
    let key: RowKey
    let revision: Revision
    let lease: LeaseID
  }

  /// A row's place in key order, with eight bytes of its key beside it: most comparisons look no
  /// further.
  struct Place: BitwiseCopyable {
    let window: UInt64
    let row: UInt32
  }

  /// In revision order.
  let rows: PlainArray<Row>
  private(set) var leased: [LeasedRow] = []
  /// Bytes that the keys begin with alike, as far as `RowKey.window` can skip them.
  private(set) var sharedPrefix = RowKey.skipMax
  /// The rows by key, rows of one key by revision.
  private(set) var order = PlainArray<Place>(capacity: 0)

  /// Reads the rows with `start` ≤ row key < `end`.
  /// - Parameter expected: about how many there are.
  /// - Throws: `damaged` naming the row.
  init(
    _ state: any CommittedRows, from start: Bytes, to end: Bytes?, expected: Int
  ) throws(StoreError) {
    rows = PlainArray(capacity: expected)
    var problem: StoreError?
    try state.scanMemory(.key, from: start, to: end) { key, value in
      problem = add(key, value)
      return problem == nil
    }
    if let problem { throw problem }
  }

  private mutating func add(
    _ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer
  ) -> StoreError? {
    guard let (revision, isTombstone) = Revision.decode(key) else {
      return .damaged("row \(Bytes(copying: key)) of bucket key is no revision")
    }
    guard let pair = StoredPair(value) else {
      return .damaged("row \(Bytes(copying: key)) of bucket key is not decodable")
    }
    // What is counted on from here. Nothing is counted from the creation's revision.
    let numbers = 0...MVCCStore.revisionMax
    guard numbers.contains(revision.main), isTombstone || numbers.contains(pair.version) else {
      return .damaged("row \(Bytes(copying: key)) of bucket key has numbers out of range")
    }
    let row = Row(
      key: RowKey(pair.key),
      revision: KeyRevision(
        main: revision.main, created: isTombstone ? revision.main : pair.createRevision,
        version: isTombstone ? 0 : pair.version, sub: Int32(truncatingIfNeeded: revision.sub),
        isTombstone: isTombstone))
    if rows.count > 0 {
      guard rows[rows.count - 1].revision.revision < row.revision.revision else {
        return .damaged("row \(Bytes(copying: key)) of bucket key is out of order")
      }
      sharedPrefix = row.key.sharedPrefix(rows[0].key, limit: sharedPrefix)
    }
    if pair.lease != 0, !isTombstone {
      leased.append(LeasedRow(key: row.key, revision: revision, lease: LeaseID(pair.lease)))
    }
    rows.append(row)
    return nil
  }

  /// Fills `order`.
  /// - Parameter skip: leading bytes that all keys of all parts share.
  mutating func sort(skipping skip: Int) {
    order = PlainArray(capacity: rows.count)
    let rows = rows.elements
    var isSorted = true
    for position in rows.indices {
      if position > 0, rows[position].key < rows[position - 1].key { isSorted = false }
      order.append(Place(window: rows[position].key.window(skip), row: UInt32(position)))
    }
    if isSorted { return }
    radixSort(order.elements)
    // Windows may be equal where keys are not.
    let order = order.elements
    var start = 0
    while start < order.count {
      var end = start + 1
      var differs = false
      while end < order.count, order[end].window == order[start].window {
        differs = differs || rows[Int(order[end].row)].key != rows[Int(order[end - 1].row)].key
        end += 1
      }
      if differs {
        order[start..<end].sort { a, b in
          let (first, second) = (rows[Int(a.row)].key, rows[Int(b.row)].key)
          return first < second || (first == second && a.row < b.row)
        }
      }
      start = end
    }
  }

  /// The row at a place of the key order.
  func row(at place: Int) -> Row { rows[Int(order[place].row)] }

  /// Number of rows, in key order, whose key is below `key`.
  func lowerBound(_ key: RowKey) -> Int {
    var (low, high) = (0, order.count)
    while low < high {
      let middle = (low + high) / 2
      if row(at: middle).key < key { low = middle + 1 } else { high = middle }
    }
    return low
  }
}

/// Sorts by window, a byte at a time from the last on; equal windows keep their order. Bytes that are
/// the same everywhere cost nothing.
private func radixSort(_ items: UnsafeMutableBufferPointer<IndexPart.Place>) {
  let digits = 256
  var counts = [Int](repeating: 0, count: 8 * digits)
  for item in items {
    for byte in 0..<8 { counts[byte * digits + digit(item, byte)] += 1 }
  }
  let scratch = UnsafeMutableBufferPointer<IndexPart.Place>.allocate(capacity: items.count)
  defer { scratch.deallocate() }
  var (from, to) = (items, scratch)
  for byte in 0..<8 {
    let own = byte * digits..<(byte + 1) * digits
    if counts[own].contains(items.count) { continue }
    var next = 0
    for slot in own { (counts[slot], next) = (next, next + counts[slot]) }
    counts.withUnsafeMutableBufferPointer { counts in
      for item in from {
        let slot = byte * digits + digit(item, byte)
        to[counts[slot]] = item
        counts[slot] += 1
      }
    }
    swap(&from, &to)
  }
  if from.baseAddress != items.baseAddress { _ = items.update(fromContentsOf: from) }
}

@inline(__always)
private func digit(_ item: IndexPart.Place, _ byte: Int) -> Int {
  Int(item.window >> UInt64(byte * 8) & 0xFF)
}

/// What the index needs of a stored mvccpb.KeyValue. Bytes of the value are not read.
private struct StoredPair {
  var key = UnsafeRawBufferPointer(start: nil, count: 0)
  var createRevision: Int64 = 0
  var version: Int64 = 0
  var lease: Int64 = 0

  /// - Returns: `nil` when the bytes are no KeyValue.
  init?(_ memory: UnsafeRawBufferPointer) {
    if decode(memory) { return }
    // Another form than the usual one: fields that a later version may add, wire types, ….
    guard let pair = try? Mvccpb.KeyValue.decode(Bytes(owner: nil, memory)) else { return nil }
    // The field is a slice of `memory`.
    key = pair.key.withUnsafeBytes { $0 }
    (createRevision, version, lease) = (pair.createRevision, pair.version, pair.lease)
  }

  private mutating func decode(_ memory: UnsafeRawBufferPointer) -> Bool {
    var at = 0
    while at < memory.count {
      let tag = memory[at]
      at += 1
      guard let number = Self.varint(memory, &at) else { return false }
      switch tag {
      case 0x0A, 0x2A:
        guard number <= UInt64(memory.count - at) else { return false }
        if tag == 0x0A { key = UnsafeRawBufferPointer(rebasing: memory[at..<at + Int(number)]) }
        at += Int(number)
      case 0x10: createRevision = Int64(bitPattern: number)
      case 0x18: break
      case 0x20: version = Int64(bitPattern: number)
      case 0x30: lease = Int64(bitPattern: number)
      default: return false
      }
    }
    return true
  }

  /// A number of up to 9 bytes; `nil` at the end of the memory and for the rare longer one.
  private static func varint(_ memory: UnsafeRawBufferPointer, _ at: inout Int) -> UInt64? {
    var value: UInt64 = 0
    var shift: UInt64 = 0
    while at < memory.count, shift < 63 {
      let byte = memory[at]
      at += 1
      value |= UInt64(byte & 0x7F) << shift
      if byte < 0x80 { return value }
      shift += 7
    }
    return nil
  }
}

extension Revision {
  /// Decodes a row key; `nil` when it has another form.
  static func decode(_ key: UnsafeRawBufferPointer) -> (Revision, isTombstone: Bool)? {
    guard
      key.count == keyBytes || (key.count == keyBytes + 1 && key[keyBytes] == UInt8(ascii: "t")),
      key[8] == UInt8(ascii: "_")
    else { return nil }
    let main = Int64(bigEndian: key.loadUnaligned(as: Int64.self))
    let sub = Int64(bigEndian: key.loadUnaligned(fromByteOffset: 9, as: Int64.self))
    return (Revision(main: main, sub: sub), key.count > keyBytes)
  }
}
