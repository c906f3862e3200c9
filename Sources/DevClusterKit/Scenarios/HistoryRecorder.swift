import Bytes
import EventLoops
import Platform
import Synchronization

/// Keeps what clients of a scenario did, in memory and in a file, and has the clock of the history: no two of its
/// times are alike, so what comes later has come later. For any thread.
final class HistoryRecorder: Sendable {
  private struct State {
    var history = History()
    var lastTime = 0
    var lastValue = 0
    var buffer: [UInt8] = []
  }
  private let state = Mutex(State())
  private let start: ContinuousClock.Instant
  /// Nanoseconds since 1970 when the clock began.
  let startedAt: Int64
  private let file: Int32
  private static let bufferBytes = 65_536

  /// - Throws: `DevClusterError` when the file cannot be made.
  init(_ path: String) throws(DevClusterError) {
    Paths.remove(path)
    file = Descriptor.openToAppend(path, permissions: 0o644)
    guard file >= 0 else { throw DevClusterError("cannot write \(path): \(System.lastError)") }
    start = .now
    startedAt = WallClock.nanoseconds
  }

  deinit { Descriptor.close(file) }

  /// Nanoseconds since the clock began.
  func now() -> Int {
    state.withLock { state in
      state.lastTime = max(state.lastTime &+ 1, time(of: .now))
      return state.lastTime
    }
  }

  /// A moment of the same clock.
  func time(of instant: ContinuousClock.Instant) -> Int {
    Int(clamping: start.duration(to: instant).nanoseconds)
  }

  /// The moment at which the clock shows a time.
  func instant(at time: UInt64) -> ContinuousClock.Instant {
    start + .nanoseconds(Int64(clamping: time))
  }

  /// A value that nobody else writes, from 1 on.
  func newValue() -> Int {
    state.withLock { state in
      state.lastValue += 1  // checked: counts requests
      return state.lastValue
    }
  }

  func record(_ line: HistoryLine) {
    state.withLock { state in
      switch line {
      case .header(let header): state.history.header = header
      case .operation(let operation): state.history.operations.append(operation)
      case .watch(let record): state.history.watches.append(record)
      case .event(let event): state.history.events.append(event)
      case .end(let end): state.history.end = end
      }
      state.buffer += Array(line.text.utf8)
      if state.buffer.count >= Self.bufferBytes { flush(&state) }
    }
  }

  private func flush(_ state: inout State) {
    Descriptor.write(Bytes(state.buffer), to: file)
    state.buffer.removeAll(keepingCapacity: true)
  }

  /// All that was recorded, which is in the file by then.
  func finish() -> History {
    state.withLock { state in
      flush(&state)
      state.history.operations.sort { $0.called < $1.called }
      return state.history
    }
  }

  /// Keys that were read or written as registers or lists so far.
  var keys: [String] {
    state.withLock { Set($0.history.operations.flatMap(\.registers)).sorted() }
  }
}
