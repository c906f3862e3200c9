import Bytes
import EventLoops
import JSON
import Platform

/// Opens the status page when it is wanted, and stands between it and the cluster: what a page asks gets a ticket
/// as what the control socket asks does. Confined to its loop.
final class PageDesk {
  private let loop: EventLoop
  private let directory: RunDirectory
  private let registry: Registry
  private let fleet: Fleet
  private let scenarios: ScenarioRunner
  private var server: PageServer?
  private var locks: Registry.PortLocks?
  private var waiting: [FleetLife.Ticket: (JSONObject) -> Void] = [:]
  /// Those of pages are below that of the setup, those of the control socket above.
  private var lastTicket = FleetLife.setupTicket

  init(
    loop: EventLoop, directory: RunDirectory, registry: Registry, fleet: Fleet,
    scenarios: ScenarioRunner
  ) {
    self.loop = loop
    self.directory = directory
    self.registry = registry
    self.fleet = fleet
    self.scenarios = scenarios
  }

  /// Where the page is, once it is served.
  var address: PageAddress? { server?.address }

  /// Serves the page, unless it is.
  /// - Parameter port: `nil` for the last one, or any that is free.
  /// - Throws: `DevClusterError` when no port can be had.
  @discardableResult
  func open(port: Int?) throws(DevClusterError) -> PageAddress {
    if let server { return server.address }
    let last = PageAddress(in: directory)
    let token = last?.token ?? PageAddress.newToken()
    let ports = PageAddress.ports(asked: port, last: last?.port) { Int.random(in: 0..<$0) }
    var reason = ""
    for port in ports where !LocalSocket.isPortTaken(port) {
      guard let held = try? registry.lock([port], for: directory.path) else { continue }
      do throws(ChannelError) {
        let opened = try PageServer(PageAddress(port: port, token: token), source)
        server = opened
        locks = held
        try? opened.address.save(in: directory)
        fleet.tellPage(opened.address.place)
        return opened.address
      } catch {
        registry.release(held)
        reason = ": \(error)"
      }
    }
    let which = port.map { "port \($0) of the status page is taken" } ?? "no port is free"
    throw DevClusterError(which + reason + "; name one with devcluster up --ui=PORT")
  }

  func close() {
    server?.close()
    scenarios.stop()
    if let locks { registry.release(locks) }
    locks = nil
    server = nil
  }

  private var source: PageSource {
    PageSource(
      loop: loop, api: fleet.api, directory: directory,
      status: { [unowned fleet] in fleet.status },
      members: { [unowned fleet] in fleet.running }, all: { [unowned fleet] in fleet.plan.members },
      export: { [unowned fleet] in EnvironmentLines(fleet.plan).export },
      ask: { [weak self] in self?.ask($0, $1) }, scenarios: scenarios)
  }

  private func ask(_ request: ControlRequest, _ done: @escaping (JSONObject) -> Void) {
    lastTicket -= 1
    let ticket = lastTicket
    waiting[ticket] = done
    fleet.handle(.asked(request, ticket))
  }

  /// Hands an answer to the page that waits for it; `false` when it is for somebody else.
  func answer(_ ticket: FleetLife.Ticket, _ answer: JSONObject) -> Bool {
    guard let done = waiting.removeValue(forKey: ticket) else { return false }
    done(answer)
    return true
  }

  func add(_ event: ClusterEvent) { server?.feed.add(event) }
  func add(line: Bytes, of member: String) { server?.feed.add(line: line, of: member) }
}
