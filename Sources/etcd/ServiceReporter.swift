import EtcdServer
import EventLoops
import Platform
import Systemd

/// Tells systemd how the member does: READY, STATUS, EXTEND_TIMEOUT while a start takes long, WATCHDOG while
/// everything moves, RELOADING, STOPPING. Without systemd, nobody is told. Confined to its loop.
///
/// - Source: sd_notify(3); etcd `etcdmain.notifySystemd` for the lines of the log.
final class ServiceReporter: @unchecked Sendable {
  // @unchecked: confined to `loop`, asserted where it is entered.
  private let loop: EventLoop
  private let logger: Logger
  private let server: EtcdServer
  private let watchdog = ServiceManager.watchdogInterval
  private var vigil: MemberVigil
  private var timer: LoopTimer?
  private var told: MemberPhase?
  private var isStopping = false
  private var wasStuck: [String] = []
  /// What the process had done by the last look, while it starts.
  private var work: UInt64?
  private var extended = 0

  /// Between two looks, unless the watchdog wants more.
  private static let pause = Duration.seconds(1)
  /// What a start that gets on may take longer each time, and looks between two of these.
  private static let moreTime = Duration.seconds(30)
  private static let looksPerExtension = 5
  /// What looking itself may add to the work done.
  private static let ownWork: UInt64 = 2

  init(_ server: EtcdServer, loop: EventLoop, logger: Logger) {
    (self.server, self.loop, self.logger) = (server, loop, logger)
    vigil = MemberVigil(server, patience: watchdog.map { $0 / 2 } ?? .seconds(10))
  }

  /// Without anybody who listens there is nothing to look at again and again.
  func start() {
    loop.preconditionCurrent()
    let outcome = ServiceManager.tell(["STATUS=\(server.phase)"])
    guard outcome != .nobodyListens || watchdog != nil else { return }
    look()
    let pause = watchdog.map { min($0 / 4, Self.pause) } ?? Self.pause
    timer = loop.schedule(after: pause, repeating: pause) { [unowned self] in look() }
  }

  /// Clients are served.
  func ready() {
    loop.preconditionCurrent()
    guard !isStopping else { return }
    logger.info("notifying init daemon")
    told = server.phase
    switch ServiceManager.tell(["READY=1", "STATUS=\(server.phase)"]) {
    case .told, .nobodyListens: logger.info("successfully notified init daemon")
    case .failed(let number):
      logger.error(
        "failed to notify systemd for readiness",
        [LogField("error", .string(SystemError(number).description))])
    }
  }

  /// Settings are read again; `ready` follows.
  func reloading() {
    loop.preconditionCurrent()
    ServiceManager.tell(["RELOADING=1", "MONOTONIC_USEC=\(monotonicNanoseconds() / 1000)"])
  }

  func reloaded() {
    loop.preconditionCurrent()
    guard !isStopping else { return }
    ServiceManager.tell(["READY=1"])
  }

  func stopping() {
    loop.preconditionCurrent()
    isStopping = true
    ServiceManager.tell(["STOPPING=1", "STATUS=\(MemberPhase.stopping)"])
  }

  private func look() {
    let stuck = vigil.stuck()
    if stuck != wasStuck { note(stuck) }
    if watchdog != nil, stuck.isEmpty { ServiceManager.tell(["WATCHDOG=1"]) }
    guard !isStopping else { return }
    let phase = server.phase
    extend(phase)
    guard phase != told else { return }
    told = phase
    ServiceManager.tell(["STATUS=\(phase)"])
  }

  private func note(_ stuck: [String]) {
    wasStuck = stuck
    guard !stuck.isEmpty else { return logger.info("the member moves again") }
    logger.warn(
      "parts of the member are stuck; systemd's watchdog is not answered meanwhile",
      [LogField("parts", .strings(stuck)), LogField("has-watchdog", .bool(watchdog != nil))])
  }

  /// A log that takes long to read and replay is no reason to give up; one that stands still is.
  private func extend(_ phase: MemberPhase) {
    switch phase {
    case .reading, .replaying: break
    default: return
    }
    let now = Process.workDone
    let moves = work.map { now &- $0 > Self.ownWork } ?? true
    work = now
    extended += 1
    guard moves, extended % Self.looksPerExtension == 1 else { return }
    let (seconds, _) = Self.moreTime.components
    ServiceManager.tell(["EXTEND_TIMEOUT_USEC=\(seconds * 1_000_000)"])
  }
}
