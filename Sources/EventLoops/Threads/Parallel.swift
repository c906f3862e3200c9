/// Calls `body` with each number below `count` at the same time, one thread each, and returns when all
/// calls have. The last one runs on the calling thread.
public func inParallel(_ count: Int, _ body: @Sendable (Int) -> Void) {
  guard count > 0 else { return }
  withoutActuallyEscaping(body) { body in
    let threads = (0..<(count - 1)).map { number in
      OSThread(name: "etcd-part") { body(number) }
    }
    body(count - 1)
    for thread in threads { thread.join() }
  }
}
