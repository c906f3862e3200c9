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

extension Parcel {
  /// Runs a task and waits for it: for threads that no task needs.
  public static func waiting<Success, Failure>(
    for body: @escaping @Sendable () async throws(Failure) -> Success
  ) -> Value where Value == Result<Success, Failure> {
    let parcel = Parcel()
    Task {
      do throws(Failure) { parcel.give(.success(try await body())) } catch {
        parcel.give(.failure(error))
      }
    }
    return parcel.wait()
  }
}
