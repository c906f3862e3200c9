import Bytes
import EventLoops
import JSON
import Platform

/// Runs a cluster's members and does what control connections ask. Confined to its loop.
final class Supervisor: @unchecked Sendable {
  // @unchecked: confined to `loop`; made on the main thread before the loop calls it.

  private static let pollInterval: Duration = .milliseconds(200)
  /// Time `start` and `restart` wait for a member to become healthy.
  private static let actionTimeout: Duration = .seconds(15)

  let loop: EventLoop
  let directory: RunDirectory
  let plan: ClusterPlan
  let options: UpOptions
  private let programs: [String: String]
  private let reporter: Reporter
  /// Called once with the exit status, when nothing is left running.
  private let onEnd: @Sendable (Int32) -> Void
  private var members: [MemberProcess] = []
  private var probe: HealthProbe?
  private var listener: Listener?
  private var connections: [ObjectIdentifier: ControlConnection] = [:]
  private var guardians: [ObjectIdentifier: ControlConnection] = [:]
  private var guardian: ChildProcess?
  private var phase = Phase.starting
  private var waitingForEnd: [ControlConnection] = []
  /// Why the cluster could not be started.
  private var failure: String?

  private enum Phase: Equatable {
    case starting
    case running
    /// Ends with this status.
    case ending(Int32)
  }

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

  // MARK: start

  /// Starts everything; the reporter hears how it went.
  func begin() {
    probe = HealthProbe(loop: loop)
    makeMembers()
    do {
      for number in [Signals.interrupt, Signals.terminate, Signals.hangUp] {
        try loop.onSignal(number) { [weak self] _ in self?.interrupted() }
      }
      listener = try Listener(loop: loop, endpoint: .unix(path: RunDirectory.controlSocket)) {
        [weak self] connection in self?.accept(connection)
      }
      try startGuardian()
      try checkPorts()
      for member in members { try member.start() }
    } catch {
      fail("\(error)")
      return
    }
    let deadline = loop.now + UInt64(options.wait) * 1_000_000_000
    waitUntilHealthy(deadline)
  }

  private func makeMembers() {
    let prefix = LinePrefix(names: plan.members.map(\.name), isColoured: LinePrefix.wanted)
    let environment = ClusterPlan.environment(from: ProcessEnvironment.entries)
    members = plan.members.enumerated().map { index, member in
      let shown = Array(prefix.text(member.name, index: index).utf8)
      let isShown = !reporter.isDetached
      return MemberProcess(
        loop: loop, plan: member,
        command: [programs[member.name] ?? ""] + plan.arguments(of: member, extra: options.extra),
        environment: environment,
        onLine: { line in
          if isShown {
            Descriptor.write(Bytes(shown + Array(line) + [0x0a]), to: StandardStreams.output)
          }
        },
        onChange: { [weak self] in self?.changed($0) })
    }
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

  private func waitUntilHealthy(_ deadline: UInt64) {
    guard phase == .starting else { return }
    if let failed = members.first(where: \.hasFailed) {
      let how = failed.report().exit ?? "?"
      fail(
        "\(failed.plan.name) ended with \(how) before it was healthy; see"
          + " \(failed.plan.logFile)\(failed.lastWords)")
      return
    }
    report { [self] reports in
      guard phase == .starting else { return }
      if reports.allSatisfy({ $0.state == .healthy }) {
        do throws(DevClusterError) {
          try directory.save(plan)
        } catch {
          fail(error.description)
          return
        }
        phase = .running
        if !reporter.succeeded(StatusTable.text(reports, plan)) { end(1) }
        return
      }
      guard loop.now < deadline else {
        let missing = reports.filter { $0.state != .healthy }.map(\.plan.name)
        fail(
          "not healthy after \(options.wait) s: \(missing.joined(separator: ", ")); see"
            + " \(plan.directory)/\(missing[0])/log")
        return
      }
      loop.schedule(after: Self.pollInterval) { [weak self] in self?.waitUntilHealthy(deadline) }
    }
  }

  private func report(_ done: @escaping ([MemberReport]) -> Void) {
    probe?.complete(members.map { $0.report() }, done)
  }

  private func changed(_ member: MemberProcess) {
    tellGuardians()
    if member.hasFailed, phase == .running {
      reporter.note(
        "\(member.plan.name) ended with \(member.report().exit ?? "?") (start it again with:"
          + " devcluster start \(member.plan.name))")
    }
  }

  // MARK: end

  /// The reason is told when nothing runs any more.
  private func fail(_ message: String) {
    if failure == nil { failure = message }
    end(1)
  }

  private func interrupted() {
    if case .ending = phase {
      // Asked twice: no more patience.
      for member in members { member.kill {} }
      return
    }
    reporter.note("stopping \(members.filter(\.isRunning).count) members")
    if phase == .starting { fail("interrupted") } else { end(0) }
  }

  /// Ends every member, then the supervisor.
  private func end(_ status: Int32) {
    if case .ending = phase { return }
    phase = .ending(status)
    var missing = 1
    let one = { [self] in
      missing -= 1
      if missing == 0 { finish(status) }
    }
    for member in members {
      missing += 1
      member.stop(one)
    }
    one()
  }

  private func finish(_ status: Int32) {
    for connection in waitingForEnd { connection.send([:]) }
    listener?.close()
    if let failure { reporter.failed(failure) }
    for connection in guardians.values { connection.send(["pids": []]) }
    // One more turn, so that the answers leave.
    loop.schedule(after: .milliseconds(50)) { [onEnd] in onEnd(status) }
  }

  // MARK: control

  private func accept(_ connection: Connection) {
    let control = ControlConnection(
      connection,
      onRequest: { [weak self] request, connection in self?.handle(request, connection) },
      onClose: { [weak self] connection in
        self?.connections[ObjectIdentifier(connection)] = nil
        self?.guardians[ObjectIdentifier(connection)] = nil
      })
    connections[ObjectIdentifier(control)] = control
  }

  private func handle(_ request: ControlRequest, _ connection: ControlConnection) {
    switch request {
    case .status:
      report { connection.send(["members": .array($0.map(\.json))]) }
    case .down:
      waitingForEnd.append(connection)
      reporter.note("stopping: asked by devcluster down")
      if phase == .starting { fail("stopped by devcluster down") } else { end(0) }
    case .watch:
      guardians[ObjectIdentifier(connection)] = connection
      connection.send(pids, isLast: false)
    case .member(let action, let name):
      guard let member = members.first(where: { $0.plan.name == name }) else {
        let names = members.map(\.plan.name).joined(separator: ", ")
        connection.send(["error": .string("there is no member '\(name)' among \(names)")])
        return
      }
      guard phase == .running else {
        connection.send(["error": "the cluster is starting or stopping"])
        return
      }
      perform(action, member, connection)
    }
  }

  private func perform(
    _ action: MemberAction, _ member: MemberProcess, _ connection: ControlConnection
  ) {
    do throws(DevClusterError) {
      switch action {
      case .pause, .resume:
        try member.setPaused(action == .pause)
        connection.send([:])
      case .stop, .kill:
        guard member.isRunning else {
          throw DevClusterError("\(member.plan.name) is not running")
        }
        let done = { connection.send([:]) }
        if action == .stop { member.stop(done) } else { member.kill(done) }
      case .start: try start(member, connection)
      case .restart:
        member.stop { [self] in
          do throws(DevClusterError) {
            try start(member, connection)
          } catch {
            connection.send(["error": .string(error.description)])
          }
        }
      }
    } catch {
      connection.send(["error": .string(error.description)])
    }
  }

  private func start(
    _ member: MemberProcess, _ connection: ControlConnection
  ) throws(DevClusterError) {
    guard case .running = phase else { throw DevClusterError("the cluster is stopping") }
    try member.start()
    waitFor(member, until: loop.now + Self.actionTimeout.nanoseconds, connection)
  }

  private func waitFor(
    _ member: MemberProcess, until deadline: UInt64, _ connection: ControlConnection
  ) {
    let name = member.plan.name
    guard member.isRunning else {
      connection.send([
        "error": .string(
          "\(name) ended with \(member.report().exit ?? "?"); see"
            + " \(member.plan.logFile)\(member.lastWords)")
      ])
      return
    }
    probe?.complete([member.report()]) { [self] reports in
      if reports[0].state == .healthy { return connection.send([:]) }
      guard loop.now < deadline else {
        connection.send(["note": .string("\(name) runs but is not healthy yet")])
        return
      }
      loop.schedule(after: Self.pollInterval) { [weak self] in
        self?.waitFor(member, until: deadline, connection)
      }
    }
  }

  // MARK: guardian

  private var pids: JSONObject {
    ["pids": .array(members.compactMap(\.pid).map { .integer($0) })]
  }

  private func tellGuardians() {
    for connection in guardians.values { connection.send(pids, isLast: false) }
  }

  private func startGuardian() throws {
    var configuration = ChildProcess.Configuration(arguments: [
      try System.executable(), "__guard", "--dir", directory.path,
    ])
    configuration.newGroup = true
    guardian = try ChildProcess(
      loop: loop, configuration, onOutput: { _, _ in },
      onExit: { [weak self] _ in
        guard let self else { return }
        guardian = nil
        if case .ending = phase { return }
        reporter.note("the guardian process ended; members may outlive a killed supervisor")
      })
  }
}
