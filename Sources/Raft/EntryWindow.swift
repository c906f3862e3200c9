import EtcdAPI
import Protobuf

/// A run of consecutive log entries that grows at the back and is dropped from the front.
///
/// Entries handed out are copied into arrays of their own (an entry is 56 bytes and shares its
/// payload), so holding them never makes a later append copy the window.
///
/// - Complexity: append and drop are amortised O(1) an entry.
struct EntryWindow: Sendable {
  /// Index of the first entry, or of the next one when there is none.
  private(set) var first: UInt64
  private var slots: [Raftpb.Entry] = []
  /// Slots at the front of `slots` that were dropped.
  private var dropped = 0

  init(first: UInt64) { self.first = first }

  var count: Int { slots.count - dropped }
  var isEmpty: Bool { count == 0 }
  /// Index after the last entry.
  var end: UInt64 { first + UInt64(count) }

  /// - Traps: when the window does not hold `index`.
  subscript(index: UInt64) -> Raftpb.Entry {
    precondition(index >= first && index < end, "entry \(index) outside of [\(first),\(end))")
    return slots[dropped + Int(index - first)]
  }

  /// Term of the entry at `index`.
  func term(at index: UInt64) -> UInt64 {
    precondition(index >= first && index < end, "entry \(index) outside of [\(first),\(end))")
    return slots[dropped + Int(index - first)].term
  }

  /// Puts entries at the back; the first of them must follow the window.
  mutating func append(_ entries: some Collection<Raftpb.Entry>) {
    slots.append(contentsOf: entries)
  }

  /// Forgets entries from `index` on.
  mutating func truncate(from index: UInt64) {
    precondition(index >= first && index <= end, "truncation at \(index) in [\(first),\(end)]")
    slots.removeLast(Int(end - index))
  }

  /// Forgets entries before `index`.
  mutating func drop(before index: UInt64) {
    precondition(index >= first && index <= end, "drop before \(index) in [\(first),\(end)]")
    let from = dropped
    dropped += Int(index - first)
    first = index
    if dropped == slots.count {
      slots.removeAll(keepingCapacity: slots.capacity <= 1024)
      dropped = 0
    } else if dropped * 2 >= slots.count {
      slots.removeFirst(dropped)
      dropped = 0
    } else {
      // The payloads go at once; the slots go when they are half of the array.
      for slot in from..<dropped { slots[slot] = Raftpb.Entry() }
    }
  }

  /// Forgets everything and starts anew at `index`.
  mutating func reset(first index: UInt64) {
    slots = []
    dropped = 0
    first = index
  }

  /// The entries of `range`, cut before the one that brings their encoded size above `maxSize`,
  /// but never to none.
  func entries(_ range: Range<UInt64>, maxSize: UInt64) -> [Raftpb.Entry] {
    precondition(
      range.lowerBound >= first && range.upperBound <= end,
      "slice [\(range.lowerBound),\(range.upperBound)) out of bound [\(first),\(end)]")
    let from = dropped + Int(range.lowerBound - first)
    let all = slots[from..<(from + range.count)]
    guard maxSize != RaftLimits.none else { return Array(all) }
    return Array(all[..<limit(all, maxSize)])
  }

  private func limit(_ all: ArraySlice<Raftpb.Entry>, _ maxSize: UInt64) -> Int {
    var size: UInt64 = 0
    for at in all.indices {
      size += all[at].limitSize
      if size > maxSize && at > all.startIndex { return at }
    }
    return all.endIndex
  }
}
