/// How many calls may run at the same time, and who runs them: threads belong to the layers above.
///
/// What is computed must not depend on it.
public struct Workers: Sendable {
  /// Calls that can run at the same time.
  let width: Int
  private let run: @Sendable (Int, @Sendable (Int) -> Void) -> Void

  /// - Parameter run: calls its second argument with each number below its first, at the same time or
  ///   one after the other, and returns when all calls have.
  public init(width: Int, run: @escaping @Sendable (Int, @Sendable (Int) -> Void) -> Void) {
    self.width = Swift.max(width, 1)
    self.run = run
  }

  /// One call after the other on the calling thread.
  public static let serial = Workers(width: 1) { count, body in
    for number in 0..<count { body(number) }
  }

  /// Results of `body` for each number below `count`, in order.
  /// - Throws: the error of the lowest number that failed.
  func map<T: Sendable>(
    _ count: Int, _ body: @Sendable (Int) throws(StoreError) -> T
  ) throws(StoreError) -> [T] {
    let slots = Slots<T>(count: count)
    run(count) { number in
      slots.results[number] = Result { () throws(StoreError) in try body(number) }
    }
    return try slots.all()
  }
}

/// Where parallel calls leave their results.
private final class Slots<T: Sendable>: @unchecked Sendable {
  // @unchecked: each call writes its own element once; they are read when all calls have returned.
  let results: UnsafeMutableBufferPointer<Result<T, StoreError>?>

  init(count: Int) {
    results = .allocate(capacity: count)
    results.initialize(repeating: nil)
  }

  /// The results in order, or the first error.
  func all() throws(StoreError) -> [T] {
    var all: [T] = []
    for result in results {
      guard let result else { preconditionFailure("a part of parallel work was not run") }
      all.append(try result.get())
    }
    return all
  }

  deinit {
    results.deinitialize()
    results.deallocate()
  }
}
