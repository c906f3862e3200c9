/// What happens to a cluster, and what is to be done.
extension FleetLife {
  /// Who asked: a control connection.
  typealias Ticket = Int

  enum Phase: Sendable, Equatable {
    case starting
    case running
    /// Ends with this status.
    case ending(Int32)
    case ended
  }

  /// What members are asked for over HTTP.
  enum Question: Sendable, Equatable {
    /// Whether the cluster is there.
    case start
    /// How they all are.
    case status(Ticket)
    /// Whether one that was started is healthy.
    case health(member: Int, Ticket, deadline: UInt64)
  }

  enum Event: Sendable {
    /// Control socket and guardian are there, and all ports are free.
    case ready
    /// What comes before the first member, or between the members and their user, failed.
    case failed(String)
    case spawned(Int, pid: Int32)
    case notSpawned(Int, String)
    case exited(Int, how: String, lastWords: String)
    /// A member that was told to end has not.
    case patienceEnded(Int)
    /// The answer to `look`.
    case looked(Question, [MemberReport])
    /// The time of `wait` is over.
    case due(Question)
    /// The user was told; whether anybody was there.
    case announced(isHeard: Bool)
    /// Ctrl-C or a signal like it.
    case interrupted
    case asked(ControlRequest, Ticket)
    case guardianEnded
  }

  enum Action: Sendable, Equatable {
    case member(Int, MemberLife.Action)
    /// Complete the reports by asking the members.
    case look(Question, [MemberReport])
    /// Come back to a question after a while.
    case wait(Question)
    /// The cluster is healthy: remember it, and tell the user.
    case announce([MemberReport])
    case answer(Ticket, Answer)
    /// The processes changed: for guardians.
    case tell(pids: [Int32])
    case note(String)
    /// Nothing runs any more.
    case end(status: Int32, failure: String?)
  }

  enum Answer: Sendable, Equatable {
    case done
    case note(String)
    case refused(String)
    case members([MemberReport])
    /// And from now on whenever they change.
    case watching(pids: [Int32])
  }
}
