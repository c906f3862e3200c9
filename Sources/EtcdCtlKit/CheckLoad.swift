import Bytes
import EtcdAPI
import EventLoops
import Synchronization

/// Puts of random keys by many clients, each with its own connection and one request at a time.
struct CheckLoad: Sendable {
  let prefix: Bytes
  let keyBytes: Int
  let valueBytes: Int
  let clients: Int
  /// Puts that begin in a second; `nil` for as many as can be.
  let perSecond: Int?
  /// How long puts are begun.
  let seconds: Int?
  /// How many puts are begun at most.
  let requests: Int

  /// What the puts gave; times in seconds.
  struct Report: Sendable {
    var count = 0
    var sum = 0.0
    var squares = 0.0
    var slowest = 0.0
    var total = 0.0
    /// Failures by their texts.
    var errors: [String: Int] = [:]

    var perSecond: Double { total > 0 ? Double(count) / total : 0 }
    var deviation: Double {
      guard count > 0 else { return 0 }
      let mean = sum / Double(count)
      return Swift.max(0, squares / Double(count) - mean * mean).squareRoot()
    }
    var errorText: String {
      "FAIL: too many errors\n"
        + errors.sorted { $0.key < $1.key }.map { "FAIL: ERROR(\($0.key)) -> \($0.value)" }
        .joined(separator: "\n")
    }
  }

  /// Hands out the times at which puts begin. A put that is late delays those behind it: none is made
  /// up for.
  private final class Schedule: Sendable {
    private struct State {
      var next: ContinuousClock.Instant
      var left: Int
    }
    private let state: Mutex<State>
    private let interval: Duration
    private let end: ContinuousClock.Instant?

    init(_ load: CheckLoad, start: ContinuousClock.Instant) {
      interval = load.perSecond.map { .seconds(1) / $0 } ?? .zero
      end = load.seconds.map { start + .seconds($0) }
      state = Mutex(State(next: start, left: load.requests))
    }

    /// - Returns: when to begin; `nil` when all is done.
    func take() -> ContinuousClock.Instant? {
      state.withLock { state in
        let time = Swift.max(state.next, .now)
        if let end, time >= end { return nil }
        guard state.left > 0 else { return nil }
        state.left -= 1
        state.next = time + interval
        return time
      }
    }
  }

  func run(_ context: Context) -> Report {
    let settings = context.settings
    let (loop, log) = (context.loop, context.log)
    let start = ContinuousClock.now
    let schedule = Schedule(self, start: start)
    let found = try? Context.wait { () async throws(ClientFailure) -> Report in
      await withTaskGroup(of: Report.self) { group in
        for _ in 0..<clients {
          group.addTask { await work(Session(settings, loop: loop, log: log), schedule) }
        }
        return await group.reduce(into: Report()) { $0.add($1) }
      }
    }
    var report = found ?? Report()
    report.total = Self.seconds(start.duration(to: .now))
    return report
  }

  private static func seconds(_ duration: Duration) -> Double {
    let parts = duration.components
    return Double(parts.seconds) + Double(parts.attoseconds) / 1e18
  }

  private func work(_ session: Session, _ schedule: Schedule) async -> Report {
    defer { session.close() }
    var report = Report()
    do throws(ClientFailure) {
      try await session.signIn(deadline: .now + session.settings.dialTimeout)
    } catch {
      report.errors[error.message, default: 0] += 1
      return report
    }
    let value = Bytes([UInt8](repeating: 0, count: valueBytes))
    while let time = schedule.take() {
      try? await Task.sleep(until: time, clock: .continuous)
      let begin = ContinuousClock.now
      do throws(ClientFailure) {
        _ = try await session.call(
          Etcdserverpb.KVService.put, Etcdserverpb.PutRequest(key: key(), value: value),
          Etcdserverpb.PutResponse.self, deadline: .now + .seconds(30))
      } catch { report.errors[error.message, default: 0] += 1 }
      report.add(Self.seconds(begin.duration(to: .now)))
    }
    return report
  }

  /// The prefix, a random number, and zeros.
  private func key() -> Bytes {
    var writer = ByteWriter(capacity: prefix.count + keyBytes)
    writer.append(prefix)
    writer.appendVarint(UInt64.random(in: 0...UInt64(Int64.max)))
    let rest = prefix.count + keyBytes - writer.count
    if rest > 0 { writer.append(repeating: 0, count: rest) }
    return writer.finish()
  }
}

extension CheckLoad.Report {
  fileprivate mutating func add(_ time: Double) {
    count += 1
    sum += time
    squares += time * time
    slowest = Swift.max(slowest, time)
  }

  fileprivate mutating func add(_ part: CheckLoad.Report) {
    count += part.count
    sum += part.sum
    squares += part.squares
    slowest = Swift.max(slowest, part.slowest)
    errors.merge(part.errors) { $0 + $1 }
  }
}
