import Auth
import EtcdAPI
import MVCC
import Member
import Membership
import Protobuf

/// What the core is asked beside proposals and reads, each with an answer of its own type. On the loop.
extension RequestTable {
  typealias Done = (Result<Void, EtcdError>) -> Void

  /// Asks about leases.
  func ask(_ kind: LeaseQuestion.Kind, _ done: @escaping (Result<LeaseAnswer, EtcdError>) -> Void) {
    askLeases(kind) { outcome, _ in
      done(Result { () throws(EtcdError) in try outcome.lease() })
    }
  }

  /// Puts a change of the members into the log; `done` is called when it was applied or refused.
  func change(
    _ change: Raftpb.ConfChange,
    _ done: @escaping (Result<[MemberInfo], EtcdError>, _ term: Term) -> Void
  ) {
    let id = expect { outcome, term in
      done(Result { () throws(EtcdError) in try outcome.members() }, term)
    }
    host.post(.changeMembers(id: id, change))
  }

  /// Whether a learner has all that this leader has.
  func checkLearner(
    _ learner: MemberID, _ done: @escaping (Result<Void, EtcdError>, _ term: Term) -> Void
  ) {
    let id = expect { outcome, term in
      done(Result { () throws(EtcdError) in try outcome.checkDone() }, term)
    }
    host.post(.checkLearner(id: id, learner: learner))
  }

  /// Waits until the backend holds everything applied before the call.
  /// - Parameter withCompactions: also until the rows of compactions are gone.
  func flush(withCompactions: Bool = false, _ done: @escaping Done) {
    let id = expect { outcome, _ in
      done(Result { () throws(EtcdError) in try outcome.checkDone() })
    }
    host.post(.flush(id: id, withCompactions: withCompactions))
  }

  /// Waits until an entry is applied.
  func awaitApplied(_ index: LogIndex, _ done: @escaping Done) {
    let id = expect { outcome, _ in
      done(Result { () throws(EtcdError) in try outcome.checkDone() })
    }
    host.post(.awaitApplied(id: id, index: index))
  }
}

/// The one kind of answer that a request waits for.
///
/// Which kind that is follows from the request. Another one comes only when an entry of somebody else carries
/// the request's id, and is told as an error of its own.
extension Outcome {
  typealias Revised<Answer> = (answer: Answer, revision: Int64)

  func kv() throws(EtcdError) -> KVResult {
    guard case .kv(let result) = self else { throw refusal }
    return result
  }

  func alarms() throws(EtcdError) -> Revised<[Etcdserverpb.AlarmMember]> {
    guard case .alarms(let alarms, let revision) = self else { throw refusal }
    return (alarms, revision)
  }

  func leaseGrant() throws(EtcdError) -> Revised<(id: LeaseID, ttl: Int64)> {
    guard case .leaseGranted(let id, let ttl, let revision) = self else { throw refusal }
    return ((id, ttl), revision)
  }

  /// - Returns: the revision of the revocation.
  func leaseRevocation() throws(EtcdError) -> Int64 {
    guard case .leaseRevoked(let revision) = self else { throw refusal }
    return revision
  }

  func lease() throws(EtcdError) -> LeaseAnswer {
    guard case .lease(let answer) = self else { throw refusal }
    return answer
  }

  func members() throws(EtcdError) -> [MemberInfo] {
    guard case .members(let members) = self else { throw refusal }
    return members
  }

  func auth() throws(EtcdError) -> Revised<AuthResult> {
    guard case .auth(let result, let revision) = self else { throw refusal }
    return (result, revision)
  }

  func checkDone() throws(EtcdError) {
    guard case .done = self else { throw refusal }
  }

  private var refusal: EtcdError {
    if case .failed(let error) = self { return error }
    return .foreignAnswer
  }
}

extension EtcdError {
  /// An entry with the id of a request was of another kind.
  static let foreignAnswer = EtcdError(
    .internal, "etcdserver: an entry of another kind has the id of this request")
}
