import EventLoops
import JSON

/// Orders to the supervisor for those who must not block: each on a thread of its own, since it may take long.
struct OrderThread: Sendable {
  let directory: RunDirectory

  /// - Throws: `DevClusterError` with the supervisor's reason.
  func ask(_ request: ControlRequest) async throws(DevClusterError) -> JSONValue {
    let loop = EventLoop(name: "order")
    loop.start()
    let result: Result<JSONValue, DevClusterError> = await withCheckedContinuation { continuation in
      loop.execute { continuation.resume(returning: Self.answer(directory, request)) }
    }
    loop.stop()
    return try result.get()
  }

  private static func answer(
    _ directory: RunDirectory, _ request: ControlRequest
  ) -> Result<JSONValue, DevClusterError> {
    do throws(DevClusterError) {
      var client = try ControlClient(directory)
      return .success(try client.ask(request))
    } catch { return .failure(error) }
  }

  /// The members as they are, for roles.
  func candidates() async throws(DevClusterError) -> [Targets.Candidate] {
    (try await ask(.status)["members"]?.array ?? []).map { member in
      Targets.Candidate(
        name: member["name"]?.string ?? "", isLeader: member["leader"]?.bool ?? false,
        isLearner: member["learner"]?.bool ?? false, isRunning: member["pid"] != nil)
    }
  }
}
