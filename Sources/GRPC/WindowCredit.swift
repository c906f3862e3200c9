/// What of a stream's window is given back at once, and what only when a message was read. Pure.
///
/// A complete message is given back when its reader takes it. The bytes of one that is not complete are
/// given back as they come, for it must not wait for its own window, but only while nothing in front of it
/// waits to be read: so a window and one message are all that can pile up in front of a reader. No byte is
/// given back twice: nghttp2 would add the surplus up until it ends the connection.
struct WindowCredit {
  /// Bytes that came since the last `settle`, and those of them that readers give back.
  private var arrived = 0
  private var owed = 0
  /// Bytes that came since the last `settle` and belong to complete messages.
  private var complete = 0
  /// Bytes of the message under way that were given back before, and those that were not.
  private var advanced = 0
  private var withheld = 0
  /// Messages that wait for their reader.
  private var unread = 0

  /// Input has come.
  mutating func add(_ count: Int) { arrived += count }

  /// A message of `wireBytes` is complete.
  /// - Parameter readLater: whether its reader gives back what is returned, and says `taken`.
  mutating func finishMessage(_ wireBytes: Int, readLater: Bool) -> Int {
    let left = wireBytes - advanced
    let fresh = left - withheld
    complete += fresh
    if readLater {
      owed += fresh
      unread += 1
    } else {
      // Given back with the next `settle`, as if it had come only now.
      owed -= withheld
    }
    advanced = 0
    withheld = 0
    return left
  }

  /// The input is used up.
  /// - Returns: what is given back now.
  mutating func settle() -> Int {
    let partial = arrived - complete
    var now = arrived - owed
    if unread > 0 {
      withheld += partial
      now -= partial
    } else {
      advanced += partial
    }
    arrived = 0
    owed = 0
    complete = 0
    return now
  }

  /// A reader has taken a message.
  /// - Returns: what is given back now besides that message.
  mutating func taken() -> Int {
    unread -= 1
    guard unread == 0 else { return 0 }
    defer { withheld = 0 }
    advanced += withheld
    return withheld
  }
}
