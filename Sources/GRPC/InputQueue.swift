import Bytes

/// Input that waits for its turn. Pure.
struct InputQueue {
  private var parts: [Bytes] = []

  var isEmpty: Bool { parts.isEmpty }

  mutating func append(_ bytes: Bytes) { if bytes.count > 0 { parts.append(bytes) } }

  /// At most `most` bytes off the front; `nil` when there are none.
  mutating func take(_ most: Int) -> Bytes? {
    guard let first = parts.first else { return nil }
    guard first.count > most else { return parts.removeFirst() }
    parts[0] = first[most..<first.count]
    return first[0..<most]
  }

  mutating func removeAll() { parts = [] }
}
