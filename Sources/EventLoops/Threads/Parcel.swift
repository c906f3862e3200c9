import Synchronization

/// A value that one thread waits for and another gives, once.
public final class Parcel<Value: Sendable>: Sendable {
  private let content = Mutex<Value?>(nil)
  private let gate = Gate()

  public init() {}

  public func give(_ value: Value) {
    content.withLock { $0 = value }
    gate.open()
  }

  /// Returns once `give` was called.
  public func wait() -> Value {
    gate.wait()
    guard let value = content.withLock({ $0 }) else {
      preconditionFailure("a gate is open without what it was opened for")
    }
    return value
  }
}
