/// What a scenario file says: a cluster, what its clients do, what happens to it and what must hold. Pure.
struct Scenario: Sendable, Equatable {
  var name = ""
  /// As in `devcluster.yaml`.
  var cluster = ClusterConfig()
  var load = Load()
  /// In the order of the file.
  var steps: [Step] = []
  var chance: Chance?
  var expect = Expectations()

  /// What clients do.
  struct Load: Sendable, Equatable {
    enum Kind: String, Sendable, CaseIterable {
      /// Keys are written, compared, deleted and read.
      case register
      /// Elements are appended to lists.
      case append
      /// Elements are put into a set, which is read whole.
      case set
      /// Registers, and clients that watch them.
      case watch
      /// Keys that live as long as a lease.
      case lease
      /// Locks, and writes under them.
      case lock
      /// Each client does one of the others' work.
      case mixed
    }
    var kind = Kind.register
    var clients = 6
    var keys = 5
    /// Requests a second of all clients together, at most.
    var rate = 300
    /// Nanoseconds; `nil`: until two seconds after the last step.
    var time: UInt64?
  }

  /// Something that happens at a time.
  struct Step: Sendable, Equatable {
    /// Nanoseconds after the load began.
    var at: UInt64
    /// As words of the command line.
    var words: String
    var request: ControlRequest
    /// Nanoseconds after which it is undone; `nil` for never.
    var length: UInt64?
    /// Whether it is no mistake when it cannot be done: chance asked for it.
    var mayFail = false
  }

  /// Faults by chance, one after another.
  struct Chance: Sendable, Equatable {
    /// What may happen; lengths are means.
    var actions: [Step]
    /// Nanoseconds after the load began.
    var from: UInt64
    var until: UInt64
    /// Mean time between two.
    var pause: UInt64
  }

  /// What must hold.
  struct Expectations: Sendable, Equatable {
    /// Answers are those of one register, list or set at a time, and revisions grow.
    var isLinearizable = true
    /// Watches tell all, once, in order.
    var hasWholeWatches = true
    /// Leases do not end early.
    var keepsLeases = true
    /// Locks have one holder, and tokens grow.
    var hasSafeLocks = true
    /// All members hash alike in the end.
    var hasEqualHashes = true
    /// Who cannot reach a majority answers nothing that needs one.
    var refusesInMinority = true
    /// Nanoseconds without an acknowledged write, at most.
    var longestGap: UInt64?
    /// Nanoseconds without a leader, at most.
    var longestLeaderless: UInt64?
    /// How often the leader changes, at most.
    var leaderChangesMax: Int?
  }

  /// Nanoseconds that clients go on after the last step.
  static let rest: UInt64 = 2_000_000_000

  /// All that happens, by time, with what chance makes of a seed.
  func steps(seed: UInt64) -> [Step] {
    (steps + (chance?.steps(seed: seed) ?? [])).enumerated()
      .sorted { ($0.element.at, $0.offset) < ($1.element.at, $1.offset) }.map(\.element)
  }

  /// Nanoseconds that clients are at work.
  func length(of steps: [Step]) -> UInt64 {
    // checked: times of files are bounded by an hour
    load.time ?? (steps.map { $0.at + ($0.length ?? 0) }.max() ?? 0) + Self.rest
  }
}

extension Scenario.Chance {
  /// What happens for a seed.
  func steps(seed: UInt64) -> [Scenario.Step] {
    var random = SplitMix(state: seed)
    /// A half to three halves of it.
    func about(_ mean: UInt64) -> UInt64 {
      // checked: bounded by an hour
      mean / 2 + UInt64.random(in: 0...mean, using: &random)
    }
    var found: [Scenario.Step] = []
    var time = from
    while let action = actions.randomElement(using: &random) {
      var step = action
      step.at = time
      step.mayFail = true
      if let mean = action.length { step = step.lasting(about(mean)) }
      // checked: the same
      let end = time + (step.length ?? 0)
      guard end <= until else { break }
      found.append(step)
      time = end + about(pause)  // checked: the same
    }
    return found
  }
}

extension Scenario.Step {
  /// The same for so many nanoseconds: a fault ends by itself then, and a member that does not run is started.
  func lasting(_ nanoseconds: UInt64) -> Scenario.Step {
    var step = self
    step.length = nanoseconds
    if case .fault(var order) = request {
      order.duration = nanoseconds
      step.request = .fault(order)
    }
    return step
  }

  /// What undoes it for some members; `nil` when it ends by itself, or never.
  func undoing(_ names: [String]) -> ControlRequest? {
    guard length != nil, case .member(let action, _, _) = request else { return nil }
    return switch action {
    case .stop, .kill: .member(.start, names, wait: 0)
    case .pause: .member(.resume, names, wait: 0)
    case .start, .restart, .resume: nil
    }
  }

  /// Whether there is something to undo, or an end.
  var canEnd: Bool {
    switch request {
    case .fault(let order): order.kind != .reset
    case .member(let action, _, _): [.stop, .kill, .pause].contains(action)
    default: false
    }
  }
}

extension ControlRequest {
  /// The same with those whom chance decides named, so that a seed decides it.
  func choosing(
    among members: [Targets.Candidate], _ random: inout SplitMix
  ) throws(DevClusterError) -> ControlRequest {
    func named(_ words: [String]) throws(DevClusterError) -> [String] {
      var found: [String] = []
      for word in words {
        guard ["random", "minority", "majority"].contains(word) else {
          found.append(word)
          continue
        }
        found += try Targets.resolve([word], members) { Int.random(in: 0..<$0, using: &random) }
      }
      return found
    }
    switch self {
    case .member(let action, let who, let wait): return .member(action, try named(who), wait: wait)
    case .remove(let who): return .remove(try named(who))
    case .promote(let who): return .promote(try named(who))
    case .heal(let who): return .heal(try named(who))
    case .fault(var order):
      order.from = try named(order.from)
      order.to = try named(order.to)
      return .fault(order)
    case .upgrade(let who, let binary, let wait):
      return .upgrade(try named(who), binary: binary, wait: wait)
    case .status, .page, .down, .add, .snapshot: return self
    }
  }
}
