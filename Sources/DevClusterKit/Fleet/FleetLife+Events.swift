import DiskFaults
import FaultRelay
import JSON

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

    var name: String {
      switch self {
      case .starting: "starting"
      case .running: "running"
      case .ending, .ended: "stopping"
      }
    }
  }

  enum Event: Sendable {
    /// The control socket is there, and all ports are free.
    case ready
    /// What comes before the first member, or between the members and their user, failed.
    case failed(String)
    case spawned(Int, pid: Int32)
    case notSpawned(Int, String)
    case exited(Int, how: String, lastWords: String)
    /// A member that was told to end has not.
    case patienceEnded(Int)
    /// What a member said of itself; `nil` when it did not answer. Of its process number `run`.
    case observed(Int, run: Int, Observation?)
    /// The system says that a process is stopped, or that it is not.
    case found(Int, isStopped: Bool)
    /// The process that takes its time of day from a member's file; 0 for nobody.
    case clockFollowed(Int, by: Int32)
    /// Whether the disk of a process can be watched, or why not.
    case diskKnown(Int, pid: Int32, refusal: String?)
    /// The answer to a call of the cluster's API.
    case called(CallID, Result<JSONValue, DevClusterError>)
    /// The end of work on files; why it failed.
    case filesDone(String?)
    /// Time has passed.
    case tick
    /// The user was told; whether anybody was there.
    case announced(isHeard: Bool)
    /// Ctrl-C or a signal like it.
    case interrupted
    /// Who waits for the start, or for whom the cluster runs, is gone.
    case abandoned
    case asked(ControlRequest, Ticket)
    case guardianEnded
  }

  enum Action: Sendable, Equatable {
    case member(Int, MemberLife.Action)
    /// There is one more member.
    case adopt(Int)
    /// A member left.
    case forget(MemberPlan)
    /// What becomes of bytes between members from now on.
    case rules(LinkRules)
    case reset([Link])
    /// What disks do from now on, by member.
    case disks([String: DiskRule])
    /// Nanoseconds that clocks are ahead from now on, by member; of others 0.
    case clocks([String: Int64])
    /// Ask a member how it is.
    case probe(Int, run: Int)
    /// Ask the cluster's API, of the first of these members that answers.
    case call(CallID, MemberCall, from: [Int])
    case files(FileWork)
    /// The plan changed.
    case save(ClusterPlan)
    /// The cluster is healthy: tell the user.
    case announce([MemberReport])
    case answer(Ticket, JSONObject)
    /// The processes changed: for the guardian.
    case tell(pids: [Int32])
    case event(ClusterEvent)
    case note(String)
    /// Serve the status page, and answer where it is.
    case openPage(Ticket)
    /// Nothing runs any more.
    case end(status: Int32, failure: String?)
  }

  /// A call of the cluster's API, and who waits for it.
  struct CallID: Sendable, Hashable {
    enum Purpose: Sendable, Hashable {
      case setup
      case addMember
      case list(MemberChange)
      case change(MemberChange)
    }
    let purpose: Purpose
    /// Whom it is for; 0 for the cluster itself.
    let ticket: Ticket
  }

  enum MemberChange: Sendable, Hashable { case remove, promote }

  /// A call of the JSON gateway, `POST` with a body.
  struct MemberCall: Sendable, Equatable {
    var path: String
    var body: JSONObject
    /// Refusals that mean it was done before.
    var accepted: [String] = []
  }

  /// Work on the members' directories, while none of them runs or all are frozen.
  enum FileWork: Sendable, Equatable {
    case save(String)
    case load(String)
    case reset
  }

  static let done: JSONObject = [:]

  static func refusal(_ error: DevClusterError) -> JSONObject {
    ["error": .string(error.description), "code": .integer(error.code)]
  }
}
