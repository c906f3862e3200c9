import Bytes
import Calls
import EventLoops
import Synchronization

/// A message that is inflated away from the loop.
final class InflateJob: Sendable {
  /// Whose turn it counts as.
  let owner: ObjectIdentifier
  /// Bytes that it may become.
  let cost: Int
  let inflater: Inflater
  let deliver: @Sendable (InflateJob, Result<Bytes, GRPCStatus>) -> Void
  private let cancelled = Atomic(false)

  /// - Parameters:
  ///   - owner: the connection.
  ///   - deliver: called once on the pool's thread, unless the job was cancelled before.
  init(
    owner: ObjectIdentifier, cost: Int, _ inflater: Inflater,
    deliver: @escaping @Sendable (InflateJob, Result<Bytes, GRPCStatus>) -> Void
  ) {
    self.owner = owner
    self.cost = cost
    self.inflater = inflater
    self.deliver = deliver
  }

  /// Nobody waits for it any more. Any thread.
  func cancel() { cancelled.store(true, ordering: .relaxed) }
  var isCancelled: Bool { cancelled.load(ordering: .relaxed) }
}

/// Inflates what would hold a loop up, on one thread of low priority for the whole process.
///
/// Owners take turns, whatever the number of jobs each has. What is being inflated or was not yet taken by
/// its loop has a limit; a job beyond it waits with its compressed bytes alone. Any thread.
final class InflatePool: Sendable {
  static let shared = InflatePool(bytesMax: 33_554_432)

  /// Jobs that the thread has at once: few, so that owners alternate.
  private static let runningMax = 4
  private static let stepBytes = 65_536

  private struct State {
    var waiting = FairQueue<ObjectIdentifier, InflateJob>()
    var reserved = 0
    var running = 0
  }
  private let state = Mutex(State())
  private let worker = WorkerThread(name: "etcd-inflate", isBackground: true)
  private let bytesMax: Int

  init(bytesMax: Int) { self.bytesMax = bytesMax }

  /// Ends the thread once what was begun is done. For tests.
  func stop() { worker.stop() }

  /// Bytes set aside for what is being inflated or was not taken yet.
  var reservedBytes: Int { state.withLock { $0.reserved } }

  /// Inflates `job` when it is its owner's turn.
  func submit(_ job: InflateJob) {
    state.withLock { $0.waiting.append(job, of: job.owner) }
    startNext()
  }

  /// The content of `job` was taken by its loop, or will never be wanted.
  func release(_ job: InflateJob) {
    state.withLock { $0.reserved -= job.cost }
    startNext()
  }

  private func startNext() {
    while let job = next() {
      worker.execute { self.run(job) }
    }
  }

  private func next() -> InflateJob? {
    state.withLock { state in
      while state.running < Self.runningMax, let job = state.waiting.first {
        let isWanted = !job.isCancelled
        if isWanted {
          // A job larger than the limit runs alone.
          guard state.reserved == 0 || state.reserved + job.cost <= bytesMax else { return nil }
          state.reserved += job.cost
          state.running += 1
        }
        state.waiting.removeFirst()
        if isWanted { return job }
      }
      return nil
    }
  }

  private func run(_ job: InflateJob) {
    var result: Result<Bytes, GRPCStatus>?
    while result == nil, !job.isCancelled {
      do throws(GRPCStatus) {
        if let content = try job.inflater.step(Self.stepBytes) { result = .success(content) }
      } catch {
        result = .failure(error)
      }
    }
    state.withLock { $0.running -= 1 }
    if let result { job.deliver(job, result) } else { release(job) }
    startNext()
  }
}

/// Items of several owners, who take turns. Pure.
///
/// - Complexity: O(1) amortised.
struct FairQueue<Owner: Hashable & Sendable, Item: Sendable>: Sendable {
  private var lines: [Owner: FIFO<Item>] = [:]
  /// Owners with items, in the order of their turns.
  private var turns = FIFO<Owner>()

  init() {}

  var isEmpty: Bool { turns.isEmpty }

  mutating func append(_ item: Item, of owner: Owner) {
    if lines[owner] == nil { turns.append(owner) }
    lines[owner, default: FIFO()].append(item)
  }

  /// The item whose turn it is.
  var first: Item? { turns.first.flatMap { lines[$0]?.first } }

  /// Removes `first`; its owner's next item comes after everybody else's.
  mutating func removeFirst() {
    guard let owner = turns.popFirst(), var line = lines.removeValue(forKey: owner) else { return }
    _ = line.popFirst()
    if line.isEmpty { return }
    lines[owner] = line
    turns.append(owner)
  }
}
