/// What of a stream's window is given back at once, and what only when a message was read. Pure.
///
/// The bytes of a message that is not complete are given back as they come, for its size is limited and it
/// must not wait for its own window; the rest of it when its reader takes it. No byte is given back twice:
/// nghttp2 would add the surplus up until it ends the connection.
struct WindowCredit {
  /// Bytes that came since the last `settle`, and those of them that readers give back.
  private var arrived = 0
  private var owed = 0
  /// Bytes that came since the last `settle` and belong to complete messages.
  private var complete = 0
  /// Bytes of the message under way that were given back before.
  private var advanced = 0

  /// Input has come.
  mutating func add(_ count: Int) { arrived += count }

  /// A message of `wireBytes` is complete.
  /// - Parameter readLater: whether its reader gives back what is returned.
  mutating func finishMessage(_ wireBytes: Int, readLater: Bool) -> Int {
    let left = wireBytes - advanced
    advanced = 0
    complete += left
    if readLater { owed += left }
    return left
  }

  /// The input is used up.
  /// - Returns: what is given back now.
  mutating func settle() -> Int {
    let now = arrived - owed
    advanced += arrived - complete
    arrived = 0
    owed = 0
    complete = 0
    return now
  }
}
