import Bytes
import EventLoops
import Platform
import Synchronization

/// Writes to a stream that somebody may not read: a thread of its own waits for them, nobody else does. What
/// does not fit into the queue is left out, and counted.
final class LineWriter: Sendable {
  private struct State {
    var queue: [UInt8] = []
    var leftOut = 0
    var isWriting = false
    var isClosed = false
  }

  /// Bytes that wait at most.
  private static let queueBytesMax = 256 << 10
  private let descriptor: Int32
  private let state = Mutex(State())
  private let worker: WorkerThread
  private let onClosed: @Sendable () -> Void

  /// - Parameter onClosed: called once when nobody can read any more.
  init(_ descriptor: Int32, name: String, onClosed: @escaping @Sendable () -> Void = {}) {
    self.descriptor = descriptor
    self.onClosed = onClosed
    worker = WorkerThread(name: name)
  }

  /// Queues a line, without its line feed.
  func write(_ line: [UInt8]) {
    write(line + [0x0a], lines: 1)
  }

  /// Queues bytes as they are.
  /// - Parameter lines: how many they are, where they are left out.
  /// - Returns: whether they were taken.
  @discardableResult
  func write(_ bytes: [UInt8], lines: Int) -> Bool {
    let (isTaken, isFirst) = state.withLock { state in
      guard !state.isClosed else { return (false, false) }
      guard state.queue.count + bytes.count <= Self.queueBytesMax else {
        state.leftOut += lines
        return (false, false)
      }
      if state.leftOut > 0 {
        state.queue += Array(
          "devcluster: \(state.leftOut) lines were left out here: nobody read them in time\n".utf8)
        state.leftOut = 0
      }
      state.queue += bytes
      defer { state.isWriting = true }
      return (true, !state.isWriting)
    }
    if isFirst { worker.execute { [weak self] in self?.drain() } }
    return isTaken
  }

  func write(_ text: String) { write(Array(text.utf8)) }

  private func drain() {
    while true {
      let next = state.withLock { state in
        defer { state.queue = [] }
        if state.queue.isEmpty { state.isWriting = false }
        return state.queue
      }
      guard !next.isEmpty else { return }
      guard Descriptor.write(Bytes(next), to: descriptor) else {
        state.withLock { $0.isClosed = true }
        return onClosed()
      }
    }
  }

  /// Waits until all is written, but not for ever.
  func flush(milliseconds: Int) {
    for _ in 0..<max(1, milliseconds / 2) {
      if state.withLock({ !$0.isWriting || $0.isClosed }) { return }
      Program.sleep(milliseconds: 2)
    }
  }
}
