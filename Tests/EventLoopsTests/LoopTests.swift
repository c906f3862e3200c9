import Bytes
import EventLoops
import Synchronization
import TestSupport
import Testing

@Suite struct LoopTests {
  @Test func workOfOtherThreadsRunsInOrder() async throws {
    let order = try await withLoop { loop in
      let seen = Mutex<[Int]>([])
      await offLoop {
        for index in 0..<1000 { loop.execute { seen.withLock { $0.append(index) } } }
      }
      await withCheckedContinuation { done in loop.execute { done.resume() } }
      return seen.withLock { $0 }
    }
    #expect(order == Array(0..<1000))
  }

  @Test func tasksRunOnTheLoop() async throws {
    let onLoop = try await withLoop { loop in
      await Task.yield()
      return loop.isCurrent
    }
    #expect(onLoop)
  }

  @Test func timersFireInOrderAndCancelledOnesDoNot() async throws {
    let fired = try await withLoop { loop in
      await withCheckedContinuation { done in
        loop.execute {
          var fired: [Int] = []
          loop.schedule(after: .milliseconds(20)) { fired.append(2) }
          loop.schedule(after: .milliseconds(5)) { fired.append(1) }
          let cancelled = loop.schedule(after: .milliseconds(10)) { fired.append(9) }
          cancelled.cancel()
          var count = 0
          var repeating: LoopTimer?
          repeating = loop.schedule(after: .milliseconds(30), repeating: .milliseconds(3)) {
            fired.append(3)
            count += 1
            if count == 3 {
              repeating?.cancel()
              loop.schedule(after: .milliseconds(10)) { done.resume(returning: fired) }
            }
          }
        }
      }
    }
    #expect(fired == [1, 2, 3, 3, 3])
  }

  /// The cached time of a turn lies before the moment a deadline is found to have passed; moving a
  /// watchdog's deadline from there must not keep the timers going for ever.
  @Test func timersEndTheirTurnWhenTheClockIsStale() async throws {
    let (fired, zeros) = try await withLoop { loop in
      await withCheckedContinuation { done in
        loop.execute {
          var fired = 0
          var zeros = 0
          let watchdog = Watchdog(loop: loop) { fired += 1 }
          watchdog.set(after: .milliseconds(10))
          watchdog.set(after: .milliseconds(20))
          func again() {
            zeros += 1
            if zeros < 50 { loop.schedule(after: .zero) { again() } }
          }
          loop.schedule(after: .milliseconds(5)) {
            // Both deadlines pass while this turn is held up.
            #expect(loop.now > 0)
            let begin = ContinuousClock.now
            while ContinuousClock.now - begin < .milliseconds(30) {}
            again()
          }
          loop.schedule(after: .milliseconds(120)) {
            withExtendedLifetime(watchdog) { done.resume(returning: (fired, zeros)) }
          }
        }
      }
    }
    #expect(fired == 1)
    #expect(zeros == 50)
  }

  /// Cancelling any mix of queued, due and fired timers leaves the others alone.
  @Test func cancelledTimersLeaveTheOthersAlone() async throws {
    let fired = try await withLoop { loop in
      await withCheckedContinuation { done in
        loop.execute {
          var fired = 0
          var timers: [LoopTimer] = []
          for index in 0..<1_000 {
            timers.append(loop.schedule(after: .milliseconds(5 + index % 7)) { fired += 1 })
          }
          for index in 0..<1_000 where index % 3 != 0 { timers[index].cancel() }
          loop.schedule(after: .milliseconds(5)) { for timer in timers[900...] { timer.cancel() } }
          loop.schedule(after: .milliseconds(40)) { done.resume(returning: fired) }
        }
      }
    }
    #expect(fired >= 300 && fired <= 334)
  }

  @Test(
    arguments: [
      (.seconds(1), 1_000_000_000), (.seconds(-1), 0), (.nanoseconds(Int64.max), .max / 2),
      (.seconds(Int64.max), .max / 2),
      (.seconds(9_223_372_036) + .nanoseconds(999_999_999), .max / 2),
    ] as [(Duration, UInt64)])
  func durationsInNanosecondsAreClamped(_ duration: Duration, _ nanoseconds: UInt64) {
    #expect(duration.nanoseconds == nanoseconds)
  }

  /// A deadline that lies further away than the clock counts is kept, moved and cancelled like any.
  @Test func endlessDeadlinesAreTimersLikeOthers() async throws {
    let fired = try await withLoop { loop in
      await withCheckedContinuation { done in
        loop.execute {
          var fired: [Int] = []
          let endless = loop.schedule(after: .seconds(Int64.max)) { fired.append(1) }
          let watchdog = Watchdog(loop: loop) { fired.append(2) }
          watchdog.set(after: .milliseconds(1))
          watchdog.set(after: .seconds(Int64.max))
          loop.schedule(after: .milliseconds(20), repeating: .seconds(Int64.max)) {
            endless.cancel()
            watchdog.cancel()
            done.resume(returning: fired)
          }
        }
      }
    }
    #expect(fired == [])
  }

  @Test func turnEndHookRunsAfterTheWorkOfATurn() async throws {
    let pairs = try await withLoop { loop in
      await withCheckedContinuation { done in
        loop.execute {
          let work = Mutex(0)
          var seen: [Int] = []
          loop.onTurnEnd { seen.append(work.withLock { $0 }) }
          for _ in 0..<10 { loop.execute { work.withLock { $0 += 1 } } }
          loop.schedule(after: .milliseconds(5)) { done.resume(returning: seen) }
        }
      }
    }
    #expect(pairs.first == 10)
  }

  @Test func childProcessOutputAndExit() async throws {
    let (text, exit) = try await withLoop { loop in
      try await withCheckedThrowingContinuation {
        (done: CheckedContinuation<(String, ChildProcess.Exit), any Error>) in
        loop.execute {
          var text = ""
          do {
            var configuration = ChildProcess.Configuration(
              arguments: ["/bin/sh", "-c", "echo $GREETING; echo bad >&2; kill -9 $$"])
            configuration.environment = ["GREETING=hello"]
            configuration.newGroup = true
            _ = try ChildProcess(
              loop: loop, configuration,
              onOutput: { stream, bytes in text += "\(stream):\(bytes.string)" },
              onExit: { done.resume(returning: (text, $0)) })
          } catch { done.resume(throwing: error) }
        }
      }
    }
    #expect(text.contains("output:hello\n") && text.contains("error:bad\n"))
    #expect(exit == .signalled(9))
  }

  @Test func missingProgramIsAnError() async throws {
    let failed = try await withLoop { loop in
      await withCheckedContinuation { done in
        loop.execute {
          do {
            _ = try ChildProcess(
              loop: loop, .init(arguments: ["/no/such/program"]), onOutput: nil, onExit: { _ in })
            done.resume(returning: "")
          } catch { done.resume(returning: "\(error)") }
        }
      }
    }
    #expect(failed.contains("no such file"))
  }

  @Test func workerThreadRunsEverythingBeforeStopping() {
    let worker = WorkerThread(name: "worker")
    let sum = Mutex(0)
    for index in 1...1000 { worker.execute { sum.withLock { $0 += index } } }
    worker.stop()
    #expect(sum.withLock { $0 } == 500_500)
  }

  /// What is due later comes in its order, after what waits, and holds nobody up who ends the thread.
  @Test func workersDoThingsLater() async {
    let worker = WorkerThread(name: "worker")
    let start = ContinuousClock.now
    let done = Mutex<[String]>([])
    let note: @Sendable (String) -> Void = { name in done.withLock { $0.append(name) } }
    await withCheckedContinuation { (all: CheckedContinuation<Void, Never>) in
      worker.execute(after: .seconds(600)) { note("never") }
      worker.execute(after: .milliseconds(30)) {
        note("late")
        // From the thread itself.
        worker.execute(after: .milliseconds(5)) {
          note("last")
          all.resume()
        }
      }
      worker.execute(after: .milliseconds(10)) { note("soon") }
      worker.execute { note("now") }
    }
    #expect(done.withLock { $0 } == ["now", "soon", "late", "last"])
    #expect(ContinuousClock.now - start >= .milliseconds(35))
    worker.stop()
    #expect(ContinuousClock.now - start < .seconds(300))
  }

  @Test func linesAreCut() {
    var splitter = LineSplitter(lineBytesMax: 4)
    var lines: [String] = []
    for part in ["ab", "c\nd\n\nabcdef", "\nx"] {
      splitter.add(Bytes(part)) { lines.append($0.string) }
    }
    splitter.finish { lines.append($0.string) }
    #expect(lines == ["abc", "d", "", "abcd", "ef", "x"])
  }
}
