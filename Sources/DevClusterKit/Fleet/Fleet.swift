import Bytes
import EventLoops

/// The members' processes: does what `FleetLife` says and tells it what happens. Confined to its loop.
final class Fleet {
  /// What is done outside of it.
  struct Outside {
    /// Tells the user that the cluster is healthy.
    /// - Returns: the event that follows.
    let announce: ([MemberReport]) -> FleetLife.Event
    let answer: (FleetLife.Ticket, FleetLife.Answer) -> Void
    let tell: (_ pids: [Int32]) -> Void
    let note: (String) -> Void
    let end: (_ status: Int32, _ failure: String?) -> Void
  }

  private static let pollInterval: Duration = .milliseconds(200)
  /// Time a member has to end by itself when it is stopped.
  private static let stopTimeout: Duration = .seconds(10)

  private let loop: EventLoop
  private let probe: HealthProbe
  private let outside: Outside
  private var life: FleetLife
  private var processes: [MemberProcess] = []
  private var patience: [Int: LoopTimer] = [:]
  private var events: [FleetLife.Event] = []
  private var isHandling = false

  /// - Parameters:
  ///   - commands: the program of each member and its arguments, in the order of the plan.
  ///   - onLine: gets each line that a member prints.
  init(
    loop: EventLoop, _ life: FleetLife, commands: [[String]], environment: [String],
    onLine: @escaping (_ member: Int, Bytes) -> Void, outside: Outside
  ) {
    self.loop = loop
    self.life = life
    self.outside = outside
    probe = HealthProbe(loop: loop)
    processes = zip(life.members, commands).enumerated().map { index, member in
      MemberProcess(
        loop: loop, plan: member.0.plan, command: member.1, environment: environment,
        onLine: { onLine(index, $0) },
        onExit: { [weak self] how, lastWords in
          self?.handle(.exited(index, how: how, lastWords: lastWords))
        })
    }
  }

  /// Takes an event; what it leads to is done before the next is looked at.
  func handle(_ event: FleetLife.Event) {
    events.append(event)
    guard !isHandling else { return }
    isHandling = true
    while !events.isEmpty {
      for action in life.handle(events.removeFirst(), now: loop.now) { perform(action) }
    }
    isHandling = false
  }

  private func perform(_ action: FleetLife.Action) {
    switch action {
    case .member(let member, let action): perform(action, member)
    case .look(let question, let reports):
      probe.complete(reports) { [weak self] in self?.handle(.looked(question, $0)) }
    case .wait(let question):
      loop.schedule(after: Self.pollInterval) { [weak self] in self?.handle(.due(question)) }
    case .announce(let reports): handle(outside.announce(reports))
    case .answer(let ticket, let answer): outside.answer(ticket, answer)
    case .tell(let pids): outside.tell(pids)
    case .note(let text): outside.note(text)
    case .end(let status, let failure): outside.end(status, failure)
    }
  }

  private func perform(_ action: MemberLife.Action, _ member: Int) {
    switch action {
    case .spawn:
      do throws(DevClusterError) {
        handle(.spawned(member, pid: try processes[member].spawn()))
      } catch { handle(.notSpawned(member, error.description)) }
    case .signal(let signal): processes[member].send(signal)
    case .beginPatience:
      patience[member] = loop.schedule(after: Self.stopTimeout) { [weak self] in
        self?.handle(.patienceEnded(member))
      }
    case .endPatience: patience.removeValue(forKey: member)?.cancel()
    }
  }
}
