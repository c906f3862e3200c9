import CommandLineTool
import EventLoops
import Synchronization

/// How far long work has come: a line of a terminal that is written over and gone in the end. Scripts see
/// nothing of it.
final class ProgressLine: Sendable {
  private let console: Console
  private let isShown: Bool
  private let state = Mutex<(width: Int, next: ContinuousClock.Instant)>((0, .now))

  init(_ world: EtcdCtl.World, _ console: Console) {
    self.console = console
    isShown = world.showsProgress
  }

  private static let interval = Duration.milliseconds(200)

  /// Says how far it is, unless that was just said.
  func show(_ text: @autoclosure () -> String) {
    guard isShown else { return }
    let isDue = state.withLock { state in
      guard state.next <= .now else { return false }
      state.next = .now + Self.interval
      return true
    }
    if isDue { write(text()) }
  }

  /// Takes the line away.
  func clear() {
    guard isShown, state.withLock({ $0.width }) > 0 else { return }
    write("")
    console.printError("\r")
  }

  private func write(_ text: String) {
    let before = state.withLock { state in
      defer { state.width = text.count }
      return state.width
    }
    let rest = String(repeating: " ", count: Swift.max(0, before - text.count))
    console.printError("\r\(text)\(rest)")
  }

  /// Does something that says nothing itself, and how long it has been at it, from the first second on.
  func whileWaiting<R, E: Error>(for what: String, _ body: () throws(E) -> R) throws(E) -> R {
    guard isShown else { return try body() }
    let ticking = Task {
      var seconds = 0
      while true {
        do { try await Task.sleep(for: .seconds(1)) } catch { return }
        seconds += 1
        show("\(what): \(seconds) s")
      }
    }
    defer {
      ticking.cancel()
      clear()
    }
    return try body()
  }
}
