import CommandLineTool
import EventLoops
import GoText
import Platform
import Synchronization

/// A program that a command runs, with our output and no input.
final class Child: Sendable {
  /// How it went.
  enum End: Sendable, Equatable {
    case ended(ChildProcess.Exit)
    /// It could not be started; Go's words.
    case notStarted(String)

    /// Go's words for what is no success.
    var problem: String? {
      switch self {
      case .ended(.exited(0)): nil
      case .ended(.exited(let status)): "exit status \(status)"
      case .ended(.signalled(let number)): "signal: \(Child.name(of: number))"
      case .notStarted(let reason): reason
      }
    }

    /// What the command that ran it ends with.
    var exitCode: Int32 {
      switch self {
      // checked: statuses are of 8 bits.
      case .ended(.exited(let status)): Int32(truncatingIfNeeded: status)
      // Go says -1, of which the system keeps eight bits.
      case .ended(.signalled): 255
      case .notStarted: CommandFailure.error
      }
    }
  }

  private let loop: EventLoop
  private struct State {
    var process: LoopConfined<ChildProcess>?
    /// A signal that came before the child was there.
    var early: Int32?
  }

  private let state = Mutex(State())

  init(loop: EventLoop) { self.loop = loop }

  /// Runs it and waits for its end.
  func run(_ words: [String], environment: [String: String]) async -> End {
    var configuration = ChildProcess.Configuration(arguments: words)
    configuration.environment = environment.map { "\($0.key)=\($0.value)" }
    return await withUnsafeContinuation { done in
      loop.execute { [self, configuration] in
        do throws(ChannelError) {
          let child = try ChildProcess(loop: loop, configuration, onOutput: nil) { exit in
            self.state.withLock { $0.process = nil }
            done.resume(returning: .ended(exit))
          }
          let early = state.withLock { state in
            state.process = LoopConfined(child)
            return state.early
          }
          if let early { child.kill(early) }
        } catch {
          done.resume(returning: .notStarted(Self.reason(words[0], error)))
        }
      }
    }
  }

  /// Sends it a signal, now or as soon as it runs.
  func signal(_ number: Int32) {
    loop.execute { [self] in
      let running = state.withLock { state in
        if state.process == nil { state.early = number }
        return state.process
      }
      running?.value.kill(number)
    }
  }

  private static func reason(_ program: String, _ error: ChannelError) -> String {
    guard case .system(_, let cause) = error else { return "\(error)" }
    guard program.contains("/") else {
      return "exec: \(GoQuote.text(program)): executable file not found in $PATH"
    }
    return "fork/exec \(program): \(cause)"
  }

  /// - Source: Go's `syscall/zerrors_linux_amd64.go`.
  private static func name(of signal: Int32) -> String {
    let names: [Int32: String] = [
      1: "hangup", 2: "interrupt", 3: "quit", 4: "illegal instruction", 6: "aborted",
      8: "floating point exception", 9: "killed", 11: "segmentation fault", 13: "broken pipe",
      14: "alarm clock", 15: "terminated",
    ]
    return names[signal] ?? "signal \(signal)"
  }
}

/// SIGINT and SIGTERM as something to wait for, instead of the end.
final class Interruption: Sendable {
  private struct State {
    var hasCome = false
    var waiting: [AsyncStream<Void>.Continuation] = []
  }
  private let state = Mutex(State())

  init(_ loop: EventLoop) {
    let gate = Gate()
    loop.execute { [self] in
      for number in [Signals.interrupt, Signals.terminate] {
        // One that cannot be caught ends the process, as it would have without us.
        _ = try? loop.onSignal(number) { [weak self] _ in self?.come() }
      }
      gate.open()
    }
    gate.wait()
  }

  private func come() {
    let waiting = state.withLock { state in
      state.hasCome = true
      defer { state.waiting = [] }
      return state.waiting
    }
    for one in waiting { one.finish() }
  }

  /// Returns with the first signal, at once when it has come, or when the task is cancelled.
  func wait() async {
    // A stream of one's own: whoever is cancelled ends it for himself alone.
    let (stream, continuation) = AsyncStream<Void>.makeStream()
    let hasCome = state.withLock { state in
      if !state.hasCome { state.waiting.append(continuation) }
      return state.hasCome
    }
    if hasCome { return }
    for await _ in stream {}
  }
}
