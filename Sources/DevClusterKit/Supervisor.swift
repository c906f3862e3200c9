import Bytes
import EventLoops
import Platform

/// Puts the parts of a running cluster together: what happens goes to `Fleet`, whose `FleetLife` decides;
/// requests come from `ControlServer`, a `Guardian` watches. Confined to its loop.
final class Supervisor: @unchecked Sendable {
  // @unchecked: confined to `loop`; made on the main thread before the loop calls it.

  private let loop: EventLoop
  private let directory: RunDirectory
  private let plan: ClusterPlan
  private let options: UpOptions
  private let programs: [String: String]
  private let reporter: Reporter
  /// Called once with the exit status, when nothing is left running.
  private let onEnd: @Sendable (Int32) -> Void
  private var fleet: Fleet?
  private var control: ControlServer?
  private var guardian: ChildProcess?

  /// - Parameter programs: the program of each member, by name.
  init(
    loop: EventLoop, directory: RunDirectory, plan: ClusterPlan, options: UpOptions,
    programs: [String: String], reporter: Reporter, onEnd: @escaping @Sendable (Int32) -> Void
  ) {
    self.loop = loop
    self.directory = directory
    self.plan = plan
    self.options = options
    self.programs = programs
    self.reporter = reporter
    self.onEnd = onEnd
  }

  /// Starts everything; the reporter hears how it went.
  func begin() {
    let fleet = makeFleet()
    self.fleet = fleet
    do {
      for number in [Signals.interrupt, Signals.terminate, Signals.hangUp] {
        try loop.onSignal(number) { _ in fleet.handle(.interrupted) }
      }
      control = try ControlServer(loop: loop) { request, ticket in
        fleet.handle(.asked(request, ticket))
      }
      guardian = try Guardian.start(directory, on: loop) { [weak self] in
        self?.guardian = nil
        fleet.handle(.guardianEnded)
      }
      try checkPorts()
    } catch { return fleet.handle(.failed("\(error)")) }
    fleet.handle(.ready)
  }

  private func makeFleet() -> Fleet {
    let members = plan.members
    let prefix = LinePrefix(names: members.map(\.name), isColoured: LinePrefix.wanted)
    let shown = members.enumerated().map { Array(prefix.text($1.name, index: $0).utf8) }
    let isShown = !reporter.isDetached
    return Fleet(
      loop: loop, FleetLife(plan, startSeconds: options.wait),
      commands: members.map { member in
        [programs[member.name] ?? ""] + plan.arguments(of: member, extra: options.extra)
      },
      environment: ClusterPlan.environment(from: ProcessEnvironment.entries),
      onLine: { member, line in
        if isShown {
          Descriptor.write(Bytes(shown[member] + Array(line) + [0x0a]), to: StandardStreams.output)
        }
      },
      outside: Fleet.Outside(
        announce: { [unowned self] in announce($0) },
        answer: { [unowned self] in control?.answer($0, $1) },
        tell: { [unowned self] in control?.tell(pids: $0) },
        note: { [reporter] in reporter.note($0) },
        end: { [unowned self] in end($0, $1) }))
  }

  /// All ports before the first process, so that a failure leaves nothing behind.
  private func checkPorts() throws(DevClusterError) {
    for member in plan.members {
      if let content = System.read(member.pidFile),
        let pid = Int32(String(decoding: content.prefix { $0 != 0x0a }, as: UTF8.self)),
        pid > 1, Signals.reaches(pid), LocalSocket.isPortTaken(member.clientPort)
      {
        throw DevClusterError(
          "port \(member.clientPort) is in use: \(member.name) of an earlier run is still there as"
            + " process \(pid); end it with kill \(pid)")
      }
      for (port, use) in [(member.clientPort, "client"), (member.peerPort, "peer")]
      where LocalSocket.isPortTaken(port) {
        throw DevClusterError(
          "port \(port), the \(use) port of \(member.name), is already in use by another program")
      }
    }
  }

  private func announce(_ reports: [MemberReport]) -> FleetLife.Event {
    do throws(DevClusterError) { try directory.save(plan) } catch {
      return .failed(error.description)
    }
    return .announced(isHeard: reporter.succeeded(StatusTable.text(reports, plan)))
  }

  private func end(_ status: Int32, _ failure: String?) {
    if let failure { reporter.failed(failure) }
    control?.close()
    // One more turn, so that the answers leave.
    loop.schedule(after: .milliseconds(50)) { [onEnd] in onEnd(status) }
  }
}
