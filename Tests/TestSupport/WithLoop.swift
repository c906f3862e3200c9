import EventLoops

/// Runs `body` with a loop of its own, on that loop, and stops the loop afterwards.
public func withLoop<R: Sendable>(
  _ body: @escaping @Sendable (EventLoop) async throws -> R
) async throws -> R {
  let loop = EventLoop(name: "test")
  loop.start()
  let result: Result<R, any Error>
  do {
    result = .success(try await withTaskExecutorPreference(loop) { try await body(loop) })
  } catch {
    result = .failure(error)
  }
  await offLoop { loop.stop() }
  return try result.get()
}

/// Stopping joins a thread, so it must not happen on that thread.
@concurrent public func offLoop(_ body: @Sendable () -> Void) async { body() }
