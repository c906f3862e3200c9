import Bytes
import CDevCluster
import EventLoops
import FaultRelay
import HTTP
import JSON
import Platform
import TLS

/// Puts the parts of a running cluster together: what happens goes to `Fleet`, whose `FleetLife` decides;
/// requests come from `ControlServer`, a `Guardian` watches. Confined to its loop.
final class Supervisor: @unchecked Sendable {
  // @unchecked: confined to `loop`; made on the main thread before the loop calls it.

  /// How often it is looked whether the guardian and those who wait are still there.
  private static let watchInterval: Duration = .milliseconds(100)
  private static let codeInterval: Duration = .seconds(60)

  private let loop: EventLoop
  private let directory: RunDirectory
  private let plan: ClusterPlan
  private let options: UpOptions
  private let reporter: Reporter
  private let guardian: Guardian
  private let registry: Registry
  private let events: EventLog
  private let files = WorkerThread(name: "files")
  /// Where the status page finds scenarios.
  private let scenarioFolder: String
  /// Called once with the exit status, when nothing is left running.
  private let onEnd: @Sendable (Int32) -> Void
  private var fleet: Fleet?
  /// `nil` where nobody sits at a terminal.
  private var view: ForegroundView?
  private var control: ControlServer?
  private var desk: PageDesk?
  /// `nil` for members that are told about each other.
  private var gathering: Gathering?
  private var shown: [String: [UInt8]] = [:]
  /// Whether somebody is waited for, whose end is the cluster's.
  private var isWatching = true

  init(
    loop: EventLoop, directory: RunDirectory, plan: ClusterPlan, options: UpOptions,
    reporter: Reporter, guardian: Guardian, registry: Registry, scenarioFolder: String,
    onEnd: @escaping @Sendable (Int32) -> Void
  ) {
    self.loop = loop
    self.directory = directory
    self.plan = plan
    self.options = options
    self.reporter = reporter
    self.guardian = guardian
    self.registry = registry
    self.scenarioFolder = scenarioFolder
    self.onEnd = onEnd
    events = EventLog(directory.eventLog)
  }

  /// Starts everything; the reporter hears how it went.
  func begin() {
    let fleet: Fleet
    do { fleet = try makeFleet() } catch { return end(1, "\(error)") }
    self.fleet = fleet
    let desk = PageDesk(
      loop: loop, directory: directory, registry: registry, fleet: fleet,
      scenarios: ScenarioRunner(
        loop: loop, directory: directory, folder: scenarioFolder, binary: plan.binary,
        worker: files))
    self.desk = desk
    do {
      for number in [Signals.interrupt, Signals.terminate, Signals.hangUp] {
        try loop.onSignal(number) { _ in fleet.handle(.interrupted) }
      }
      control = try ControlServer(
        loop: loop, paths: [RunDirectory.controlSocket, registry.socket(Program.id)]
      ) { request, ticket in
        fleet.handle(.asked(request, ticket))
      }
      try registry.add(directory.path)
      for member in plan.members { try PortCheck.check(member) }
      try fleet.beginRelaying()
      if plan.isDiscovered { gathering = try Gathering(plan) }
      if plan.page != .none { try desk.open(port: plan.page.port) }
      if plan.relay != .none && !Relay.knowsOwners {
        reporter.note(
          "this system does not say who owns a socket: faults between members cannot be told from"
            + " those of clients")
      }
    } catch { return fleet.handle(.failed("\(error)")) }
    watch()
    fleet.handle(.ready)
  }

  /// Notices the end of those who cannot say so.
  private func watch() {
    var isGuarded = true
    loop.schedule(after: Self.watchInterval, repeating: Self.watchInterval) { [weak self] in
      guard let self else { return }
      if isGuarded && guardian.hasEnded {
        isGuarded = false
        fleet?.handle(.guardianEnded)
      }
      if isWatching && reporter.isAbandoned {
        isWatching = false
        fleet?.handle(.abandoned)
      }
    }
  }

  private func makeFleet() throws(DevClusterError) -> Fleet {
    let environment = ProcessEnvironment.entries
    return Fleet(
      loop: loop,
      FleetLife(plan, startSeconds: options.wait, seed: UInt64.random(in: .min ... .max)),
      client: try Self.client(plan, loop),
      outside: Fleet.Outside(
        command: { (member, plan) throws(DevClusterError) in
          [try MemberProgram.path(member, plan)] + plan.arguments(of: member)
        },
        environment: { member, plan in
          ClusterPlan.environment(from: environment) + plan.environment + member.environment
            + ["\(ShiftedClock.variable)=\(member.clockFile)"]
        },
        line: { [unowned self] in
          desk?.add(line: $2, of: $1.name)
          show($1, $2)
        },
        files: { [unowned self] in work($0, $1, $2) },
        save: { [directory] (plan) throws(DevClusterError) in try directory.save(plan) },
        announce: { [unowned self] in announce($0) },
        answer: { [unowned self] in
          if desk?.answer($0, $1) != true { control?.answer($0, $1) }
        },
        tell: { [guardian] in guardian.tell($0) },
        event: { [unowned self] in
          events.write($0)
          desk?.add($0)
        },
        note: { [unowned self] in note($0) },
        openPage: { [unowned self] in openPage($0) },
        end: { [unowned self] in end($0, $1) }))
  }

  /// Reaches members as the cluster is secured.
  static func client(
    _ plan: ClusterPlan, _ loop: EventLoop
  ) throws(DevClusterError) -> HTTPClient {
    guard let settings = Certificates.settings(plan) else {
      return HTTPClient(loop: loop, dial: HTTPClient.dial(.plain))
    }
    do throws(TLSFailure) {
      let layer = TLSLayer(try TLSMaterial(settings, protocols: []))
      return HTTPClient(loop: loop, dial: HTTPClient.dial(.layered(layer)))
    } catch { throw DevClusterError("cannot use the cluster's certificates: \(error.description)") }
  }

  /// Shows a line of a member in the foreground.
  private func show(_ member: MemberPlan, _ line: Bytes) {
    guard !reporter.isDetached, let least = options.logs else { return }
    let parsed = LogLine(line.string)
    guard (parsed.level ?? .info) >= least else { return }
    let prefix =
      shown[member.name]
      ?? Array(
        LinePrefix(names: plan.members.map(\.name), isColoured: LinePrefix.wanted)
          .text(member.name, index: max(0, member.index - 1)).utf8)
    shown[member.name] = prefix
    let text = prefix + (options.isRaw ? Array(line) : Array(parsed.human.utf8))
    if let view { view.show(text) } else { reporter.show(text) }
  }

  /// Tells something; above the status where that is kept on the screen.
  private func note(_ text: String) {
    guard let view, Descriptor.isTerminal(StandardStreams.error) else { return reporter.note(text) }
    view.show(Array("devcluster: \(text)".utf8))
  }

  private var hasScreen: Bool { !reporter.isDetached && ForegroundView.isWanted }

  /// Keeps the status on the screen.
  private func beginView() {
    guard hasScreen else { return }
    view = ForegroundView(
      loop: loop, write: { [reporter] in reporter.draw($0) },
      table: { [unowned self] in fleet?.table(columns: $0) ?? [] })
  }

  /// Works on files in a thread of its own.
  private func work(
    _ work: FleetLife.FileWork, _ plan: ClusterPlan, _ done: @escaping @Sendable (String?) -> Void
  ) {
    let saves = Saves(directory: directory)
    files.execute { [gathering] in
      do throws(DevClusterError) {
        try saves.perform(work, plan)
        // All that are there make the cluster anew.
        if work == .reset { gathering?.beginAnew(size: plan.members.count) }
        done(nil)
      } catch { done(error.description) }
    }
  }

  private func openPage(_ ticket: FleetLife.Ticket) {
    do throws(DevClusterError) {
      guard let address = try desk?.open(port: plan.page.port) else { return }
      control?.answer(ticket, ["url": .string(address.url), "page": .string(address.place)])
    } catch { control?.answer(ticket, FleetLife.refusal(error)) }
  }

  private func announce(_ status: JSONObject) -> Bool {
    // What stays on the screen need not be told before.
    let table =
      hasScreen ? "" : StatusTable.text(.object(status), width: Terminal.columns) + "\n"
    isWatching = options.isTethered
    let page = desk?.address.map { "\nstatus page: \($0.url)" } ?? ""
    let isHeard = reporter.succeeded(table + EnvironmentLines(plan).export + page)
    if !options.isTethered { reporter.release() }
    beginView()
    keepSmall()
    return isHeard
  }

  /// Code of the start, and of commands later, stays in memory only while it runs.
  private func keepSmall() {
    #if os(Linux)
      devcluster_give_back_code()
      loop.schedule(after: Self.codeInterval, repeating: Self.codeInterval) {
        devcluster_give_back_code()
      }
    #endif
  }

  private func end(_ status: Int32, _ failure: String?) {
    view?.close()
    view = nil
    if let failure { reporter.failed(failure) }
    control?.close()
    desk?.close()
    gathering?.end()
    registry.removeOwn()
    // One more turn, so that the answers leave.
    loop.schedule(after: .milliseconds(2)) { [onEnd] in onEnd(status) }
  }
}

/// The program of a member.
enum MemberProgram {
  /// Its path.
  /// - Throws: `DevClusterError` when there is none.
  static func path(_ member: MemberPlan, _ plan: ClusterPlan) throws(DevClusterError) -> String {
    if let given = member.binary ?? plan.binary {
      guard Paths.isProgram(given) else {
        throw DevClusterError("the program of \(member.name) is gone: \(given)")
      }
      return given
    }
    do { return try beside("etcd") } catch {
      throw DevClusterError("\(error.description) (build it, or name one with --binary PATH)")
    }
  }

  /// A program beside this one.
  static func beside(_ name: String) throws(DevClusterError) -> String {
    let own = try System.executable()
    return try System.program(
      own.prefix(upTo: own.lastIndex(of: "/") ?? own.startIndex) + "/\(name)")
  }
}
