import Synchronization

/// Opens once.
final class Gate: Sendable {
  private let pair = AsyncStream<Void>.makeStream()
  func open() { pair.continuation.finish() }
  func wait() async { for await _ in pair.stream {} }
}

/// A value that several tasks look at and change.
final class Shared<Value: Sendable>: Sendable {
  private let value: Mutex<Value>
  init(_ value: Value) { self.value = Mutex(value) }
  func withLock<R: Sendable>(_ body: (inout Value) -> R) -> R {
    value.withLock { value in
      var copy = value
      defer { value = copy }
      return body(&copy)
    }
  }
}
