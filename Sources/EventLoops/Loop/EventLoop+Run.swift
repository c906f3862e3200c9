extension EventLoop {
  /// Runs `body` on the loop and waits for it; for threads that may block, such as the one that starts
  /// and stops a server.
  /// - Precondition: the loop runs and is not the caller's own.
  /// - Throws: what `body` throws.
  public func run<R, Failure: Error>(
    _ body: @escaping () throws(Failure) -> R
  ) throws(Failure) -> R {
    precondition(!isCurrent, "event loop \(name) cannot wait for itself")
    let box = ResultBox<R, Failure>()
    let gate = Gate()
    let work = LoopWork {
      do throws(Failure) { box.result = .success(try body()) } catch {
        box.result = .failure(error)
      }
    }
    execute {
      work.body()
      gate.open()
    }
    gate.wait()
    guard let result = box.result else { preconditionFailure("the loop \(name) lost its work") }
    return try result.get()
  }
}

/// Carries a result out of a loop.
private final class ResultBox<R, Failure: Error>: @unchecked Sendable {
  // @unchecked: the gate orders the one write before the one read.
  var result: Result<R, Failure>?
}

/// Carries a closure onto a loop.
private struct LoopWork: @unchecked Sendable {
  // @unchecked: made by a thread that waits until the loop has run it.
  let body: () -> Void
  init(_ body: @escaping () -> Void) { self.body = body }
}
