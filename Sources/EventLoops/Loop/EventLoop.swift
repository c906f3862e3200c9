import Bytes
import CUV
import Platform
import Synchronization

/// An event loop on a thread of its own (libuv), and the executor of the tasks that live on it.
///
/// One turn: events (sockets, timers, signals, work of other threads) are handled, then work that
/// was queued on the loop itself, then the turn-end hooks, then output is flushed; then the loop
/// blocks. State that belongs to a loop is touched only on its thread and needs no lock.
public final class EventLoop: SerialExecutor, TaskExecutor, @unchecked Sendable {
  // @unchecked: mutable state is confined to the loop's thread (asserted by `preconditionCurrent`)
  // except `inbox` (mutex), `threadID` (atomic) and `thread` (written by start/stop's one caller).

  /// Shown by the system's tools as the thread's name.
  public let name: String

  enum Work: Sendable {
    case job(UnownedJob)
    case body(@Sendable () -> Void)
  }

  /// What other threads leave for the loop. `wake` is set while the loop runs.
  private struct Inbox: @unchecked Sendable {
    // @unchecked: `wake` is used only with the mutex held; uv_async_send may run on any thread.
    var items: [Work] = []
    var signalled = false
    var stopped = false
    var wake: UnsafeMutablePointer<uv_async_t>?
  }

  private let inbox = Mutex<Inbox>(Inbox())
  private let threadID = Atomic<UInt>(0)
  let longestTurn = LongestTurn()
  private var thread: OSThread?

  // Confined to the loop.
  var core: LoopCore?
  var timers = TimerHeap()
  var readBuffers = ReadBufferPool()
  private var local: [Work] = []
  private var batch: [Work] = []
  private var hooks: [() -> Void] = []
  private var dirty: [any TurnEndHandler] = []
  /// Work of the next turn, and of the one after.
  private var continued: [any NextTurnHandler] = []
  private var postponed: [any NextTurnHandler] = []
  private var cachedNow: UInt64 = 0
  var meter = TurnMeter()
  private var stopping = false

  /// Rounds of local work a turn may take before events are looked at again.
  private static let localRoundsMax = 4
  /// A protocol layer, a TLS layer, the socket, and one to spare.
  private static let flushGenerationsMax = 4

  public init(name: String) {
    self.name = name
    // A peer that went away must show as an error of write(2), not end the process.
    Signals.ignore([Signals.brokenPipe])
  }

  /// Starts the thread; returns when the loop accepts work. Call once.
  public func start() {
    precondition(thread == nil, "event loop \(name) started twice")
    let ready = Gate()
    thread = OSThread(name: name) { self.main(ready) }
    ready.wait()
  }

  /// Closes every handle (channels see `ChannelError.loopStopped`), ends the thread and joins it.
  /// Call once, from another thread, when no task that lives on the loop is still needed: jobs
  /// that arrive later are never run.
  public func stop() {
    precondition(!isCurrent, "event loop \(name) cannot join itself")
    execute { self.beginStop() }
    thread?.join()
    thread = nil
  }

  /// Whether the caller runs on this loop's thread.
  @inline(__always)
  public var isCurrent: Bool { threadID.load(ordering: .relaxed) == OSThread.current }

  /// - Traps: when called on another thread.
  public func preconditionCurrent() {
    precondition(isCurrent, "not on event loop \(name)")
  }

  /// Runs `body` on the loop, soon: from another thread with at most one wake-up a batch, on the
  /// loop itself before the turn ends. Bodies of one thread run in order.
  public func execute(_ body: @escaping @Sendable () -> Void) { submit(.body(body)) }

  public func enqueue(_ job: consuming ExecutorJob) { submit(.job(UnownedJob(job))) }

  public func asUnownedSerialExecutor() -> UnownedSerialExecutor {
    UnownedSerialExecutor(ordinary: self)
  }

  public func checkIsolated() { preconditionCurrent() }

  /// Monotonic nanoseconds, read at most once a turn.
  public var now: UInt64 {
    if cachedNow == 0 { cachedNow = monotonicNanoseconds() }
    return cachedNow
  }

  /// Monotonic nanoseconds, read from the clock with every call.
  public var preciseNow: UInt64 { monotonicNanoseconds() }

  /// Reads the clock again for the rest of the turn.
  func refreshNow() -> UInt64 {
    cachedNow = monotonicNanoseconds()
    return cachedNow
  }

  /// Has `body` fill memory of the loop's read buffers, for a layer that makes input of input.
  /// - Parameter body: returns the bytes that it wrote; 0 or less for none. It must not read.
  /// - Returns: those bytes; `nil` for none. On the loop only.
  package func read(_ body: (UnsafeMutableRawBufferPointer) -> Int) -> Bytes? {
    let count = body(readBuffers.room())
    return count > 0 ? readBuffers.take(count) : nil
  }

  /// Adds a hook that runs once a turn after all events were handled and before output is flushed.
  /// On the loop only.
  public func onTurnEnd(_ body: @escaping () -> Void) {
    preconditionCurrent()
    hooks.append(body)
  }

  /// Calls `handler.turnEnd()` once, after the hooks of this turn, in the order of registration.
  /// On the loop only.
  @inline(__always)
  public func atTurnEnd(_ handler: any TurnEndHandler) { dirty.append(handler) }

  /// Calls `handler.nextTurn()` once in the next turn, after events of others had their chance: for work
  /// that goes on and must not hold them up. On the loop only.
  public func atNextTurn(_ handler: any NextTurnHandler) { postponed.append(handler) }

  private func submit(_ work: Work) {
    if isCurrent {
      local.append(work)
      return
    }
    inbox.withLock { inbox in
      guard !inbox.stopped else { return }
      inbox.items.append(work)
      guard !inbox.signalled, let wake = inbox.wake else { return }
      inbox.signalled = true
      // Under the lock, so that the handle cannot be closed in between.
      uv_async_send(wake)
    }
  }

  // MARK: the thread

  private func main(_ ready: Gate) {
    threadID.store(OSThread.current, ordering: .relaxed)
    let core = LoopCore(owner: self)
    self.core = core
    inbox.withLock {
      $0.wake = core.async
      if !$0.items.isEmpty {
        $0.signalled = true
        uv_async_send(core.async)
      }
    }
    ready.open()
    uv_run(core.loop, UV_RUN_DEFAULT)
    core.finish()
    self.core = nil
    timers.removeAll()
    hooks.removeAll()
    threadID.store(0, ordering: .relaxed)
  }

  private func beginStop() {
    guard !stopping, let core else { return }
    stopping = true
    core.closeResources()
    // Behind one more round of local work, so that tasks resumed by the closing can end on the loop.
    execute { self.execute { self.finishStop() } }
  }

  private func finishStop() {
    inbox.withLock {
      $0.stopped = true
      $0.wake = nil
    }
    drainInbox()
    core?.closeResources()
    core?.closeOwnHandles()
  }

  /// Runs what other threads left; one lock a batch.
  func drainInbox() {
    inbox.withLock {
      swap(&$0.items, &batch)
      $0.signalled = false
    }
    meter.begin(now, .work)
    for work in batch { run(work) }
    batch.removeAll(keepingCapacity: true)
  }

  @inline(__always)
  private func run(_ work: Work) {
    switch work {
    case .body(let body): body()
    case .job(let job):
      job.runSynchronously(
        isolatedTo: asUnownedSerialExecutor(), taskExecutor: asUnownedTaskExecutor())
    }
  }

  /// The end of a turn, just before the loop blocks.
  func endTurn() {
    var rounds = 0
    runContinued()
    repeat {
      settle()
      flush()
      rounds += 1
    } while !local.isEmpty && rounds < Self.localRoundsMax
    swap(&continued, &postponed)
    core?.setBusy(!local.isEmpty || !dirty.isEmpty || !continued.isEmpty)
    core?.arm(timers.earliest())
    if meter.isRunning { longestTurn.note(meter.end(monotonicNanoseconds(), loop: name)) }
    cachedNow = 0
  }

  private func runContinued() {
    guard !continued.isEmpty else { return }
    meter.begin(now, .continued)
    for handler in continued { handler.nextTurn() }
    continued.removeAll(keepingCapacity: continued.count < 1_024)
  }

  /// Local work, then the hooks; once more for what the hooks gave to do, so that what they answer at
  /// once leaves with the same flush.
  private func settle() {
    var rounds = 0
    repeat {
      var batches = 0
      while !local.isEmpty && batches < Self.localRoundsMax {
        runLocal()
        batches += 1
      }
      for hook in hooks { hook() }
      rounds += 1
    } while !local.isEmpty && rounds < Self.localRoundsMax
  }

  private func runLocal() {
    guard !local.isEmpty else { return }
    var taken: [Work] = []
    swap(&taken, &local)
    for work in taken { run(work) }
    // Keeps the larger buffer for the next round.
    taken.removeAll(keepingCapacity: true)
    if local.isEmpty { swap(&taken, &local) }
  }

  /// Calls the handlers, and those that they register meanwhile (a protocol, then its socket). What
  /// comes after that waits for the next turn, so that one busy connection does not hold up others.
  private func flush() {
    var index = 0
    var generation = 0
    while index < dirty.count && generation < Self.flushGenerationsMax {
      let end = dirty.count
      while index < end {
        let handler = dirty[index]
        index += 1
        handler.turnEnd()
      }
      generation += 1
    }
    if index == dirty.count {
      dirty.removeAll(keepingCapacity: true)
    } else {
      dirty.removeFirst(index)
    }
  }
}

/// Something with work for the end of a turn, such as output to flush.
public protocol TurnEndHandler: AnyObject {
  func turnEnd()
}

/// Something that goes on with its work in the next turn of its loop.
public protocol NextTurnHandler: AnyObject {
  func nextTurn()
}
