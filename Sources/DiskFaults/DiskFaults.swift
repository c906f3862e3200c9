import Bytes
import CDiskFaults
import EventLoops
import Platform
import Synchronization

/// Makes the disks of child processes slow, full or broken while they run: the kernel asks here before it lets
/// one of their calls pass (seccomp_unotify(2)), which needs no right and no change of the program. One thread
/// answers for all of them; no process waits for it longer than that takes while no rule is set. When this
/// process is gone, calls of those that are left end with ENOSYS.
public final class DiskFaults: Sendable {
  /// Whether this system can do that at all.
  public static var isSupported: Bool { disk_faults_can_watch() == 1 }

  /// A process: first the socket by which it hands over its listener, then that.
  private struct Watched {
    let name: String
    let directory: String
    var descriptor: Int32
    var isListener = false
    let onKnown: @Sendable (_ refusal: String?) -> Void
  }

  private struct State {
    var arrivals: [Watched] = []
    var rules: [String: DiskRule] = [:]
    var haveRulesChanged = false
  }

  private let state = Mutex(State())
  private let wake: (reading: Int32, writing: Int32)
  private let thread: WorkerThread

  /// `nil` where the system has no descriptor left.
  public init?() {
    guard let wake = Descriptor.pipe() else { return nil }
    self.wake = wake
    thread = WorkerThread(name: "disks")
    thread.execute { [weak self] in self?.run() }
  }

  /// Both ends of what a child hands its listener over by: the second is for the child, which has to be given
  /// it under a number that it knows. `nil` when the system has none left.
  public static func handOver() -> (own: Int32, child: Int32)? {
    var ends: [Int32] = [-1, -1]
    guard disk_faults_socket_pair(&ends) == 0 else { return nil }
    return (ends[0], ends[1])
  }

  /// Watches a process from the moment at which it hands its listener over.
  /// - Parameters:
  ///   - name: of the rule that holds for it.
  ///   - directory: files in it are its disk.
  ///   - socket: the own end of `handOver()`; it is closed here.
  ///   - onKnown: called once, on another thread, with the reason when the process cannot be watched.
  public func watch(
    _ name: String, directory: String, socket: Int32,
    onKnown: @escaping @Sendable (_ refusal: String?) -> Void
  ) {
    let watched = Watched(
      name: name, directory: directory, descriptor: socket, onKnown: onKnown)
    state.withLock { $0.arrivals.append(watched) }
    Descriptor.write([0], to: wake.writing)
  }

  /// Other rules hold from now on, by name; who has none has a disk as it should be.
  public func apply(_ rules: [String: DiskRule]) {
    state.withLock { ($0.rules, $0.haveRulesChanged) = (rules, true) }
    Descriptor.write([0], to: wake.writing)
  }

  // MARK: the child

  /// In a child, before it becomes the program that is watched.
  /// - Parameter socket: the child's end of `handOver()`; it is closed.
  public static func becomeWatched(_ socket: Int32) {
    disk_faults_ignore_limit_signal()
    let listener = disk_faults_watch_self()
    let reason = listener < 0 ? SystemError.last.number : 0
    // Nobody takes it: the program's first call would fail, so it is better not to get there unseen.
    _ = disk_faults_hand_over(socket, listener, reason)
    Descriptor.close(socket)
    if listener >= 0 { Descriptor.close(listener) }
  }

  /// Has a process that cannot be watched fail to write files, or lets it again.
  /// - Throws: `SystemError`.
  public static func limitFiles(_ process: Int32, _ isLimited: Bool) throws(SystemError) {
    guard disk_faults_limit_files(process, isLimited ? 1 : 0) == 0 else { throw .last }
  }

  // MARK: the thread

  private func run() {
    var watched: [Watched] = []
    var slow = SlowAnswers()
    var rules: [String: DiskRule] = [:]
    var ready = [UInt8](repeating: 0, count: 1)
    while true {
      let descriptors = [wake.reading] + watched.map(\.descriptor)
      if ready.count < descriptors.count {
        ready = [UInt8](repeating: 0, count: descriptors.count)
      }
      let wait = slow.wait(monotonicNanoseconds()).map { Int64(clamping: $0) } ?? -1
      guard disk_faults_wait(descriptors, &ready, descriptors.count, wait) == 0 else {
        // Nobody may wait for answers that will not come.
        for descriptor in watched.map(\.descriptor) { Descriptor.close(descriptor) }
        return
      }
      // From behind: those that are gone leave.
      for index in watched.indices.reversed() where ready[index + 1] != 0 {
        let isGone =
          watched[index].isListener
          ? !answer(watched[index], isGone: ready[index + 1] == 2, rules, &slow)
          : !takeOver(&watched[index])
        guard isGone else { continue }
        slow.forget(watched[index].descriptor)
        Descriptor.close(watched[index].descriptor)
        watched.remove(at: index)
      }
      for entry in slow.take(monotonicNanoseconds()) {
        _ = disk_faults_answer(entry.listener, entry.id, 0)
      }
      if ready[0] != 0 { takeNews(&watched, &rules, &slow) }
    }
  }

  private func takeNews(
    _ watched: inout [Watched], _ rules: inout [String: DiskRule], _ slow: inout SlowAnswers
  ) {
    var bytes = [UInt8](repeating: 0, count: 64)
    _ = Descriptor.read(wake.reading, into: &bytes)
    let news = state.withLock { state in
      defer { (state.arrivals, state.haveRulesChanged) = ([], false) }
      return state
    }
    watched += news.arrivals
    guard news.haveRulesChanged else { return }
    rules = news.rules
    for one in watched where one.isListener {
      slow.hurry(one.descriptor, atMost: rules[one.name]?.delay ?? 0, monotonicNanoseconds())
    }
  }

  /// - Returns: whether the process can be watched.
  private func takeOver(_ one: inout Watched) -> Bool {
    let found = disk_faults_take_over(one.descriptor)
    guard found >= 0 else {
      one.onKnown(SystemError(-found).description)
      return false
    }
    Descriptor.close(one.descriptor)
    one.descriptor = found
    one.isListener = true
    one.onKnown(nil)
    return true
  }

  /// - Returns: whether the process is still there.
  private func answer(
    _ one: Watched, isGone: Bool, _ rules: [String: DiskRule], _ slow: inout SlowAnswers
  ) -> Bool {
    if isGone { return false }
    var call = disk_faults_call()
    guard disk_faults_next(one.descriptor, &call) == 0 else { return true }
    guard let rule = rules[one.name],
      disk_faults_is_below(call.thread, call.descriptor, one.directory) == 1
    else {
      _ = disk_faults_answer(one.descriptor, call.id, 0)
      return true
    }
    switch rule.outcome(DiskRule.Call(call.kind)) {
    case .passes: _ = disk_faults_answer(one.descriptor, call.id, 0)
    case .full: _ = disk_faults_answer(one.descriptor, call.id, SystemError.noSpace.number)
    case .fails: _ = disk_faults_answer(one.descriptor, call.id, SystemError.input.number)
    case .waits(let delay):
      slow.add(
        SlowAnswers.Entry(
          listener: one.descriptor, id: call.id, due: monotonicNanoseconds() &+ delay))
    }
    return true
  }
}

extension DiskRule.Call {
  fileprivate init(_ kind: disk_faults_kind) {
    switch kind {
    case DISK_FAULTS_WRITE: self = .write
    case DISK_FAULTS_ALLOCATE: self = .allocate
    default: self = .sync
    }
  }
}
