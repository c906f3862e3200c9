import Auth
import Bytes
import EtcdAPI
import EventLoops
import MVCC
import Member

/// Requests of one loop that wait for the core. Confined to the loop.
///
/// What arrives in one turn of the loop is handed to the core as one batch at the turn's end, and answers come back
/// as one batch a core turn: one hop each way, however many requests.
final class RequestTable: @unchecked Sendable {
  // @unchecked: confined to `loop`, asserted where requests enter and answers arrive.

  typealias OutcomeHandler = (Outcome, _ term: Term) -> Void
  typealias ReadHandler = (Result<ReadState, EtcdError>, _ term: Term) -> Void

  let loop: EventLoop
  let host: MemberHost
  private var ids: RequestIDs
  private var outcomes = IDTable<OutcomeHandler>()
  private var reads = IDTable<ReadHandler>()
  private var proposals: [Proposal] = []
  private var newReads: [RequestID] = []
  private var newLocalReads: [RequestID] = []
  private var newLeaseQuestions: [LeaseQuestion] = []
  private var newV2Questions: [V2Question] = []

  /// Requests that wait.
  var count: Int { outcomes.count + reads.count }

  init(loop: EventLoop, host: MemberHost, ids: RequestIDs) {
    self.loop = loop
    self.host = host
    self.ids = ids
    loop.onTurnEnd { [unowned self] in flush() }
  }

  /// An id for a proposal whose bytes must carry it.
  func makeID() -> RequestID { ids.next() }

  /// Puts a request into the log; `done` is called once, on the loop.
  func propose(id: RequestID, _ data: Bytes, _ done: @escaping OutcomeHandler) {
    loop.preconditionCurrent()
    outcomes.insert(done, for: id)
    proposals.append(Proposal(id: id, data: data))
  }

  /// Waits for the answer to an event that is posted with the id returned.
  func expect(_ done: @escaping OutcomeHandler) -> RequestID {
    loop.preconditionCurrent()
    let id = ids.next()
    outcomes.insert(done, for: id)
    return id
  }

  /// Calls `done` with a state at least as new as everything acknowledged before the call.
  func read(_ done: @escaping ReadHandler) {
    loop.preconditionCurrent()
    let id = ids.next()
    reads.insert(done, for: id)
    newReads.append(id)
  }

  /// Calls `done` with the state of this member, however old.
  func readLocal(_ done: @escaping ReadHandler) {
    loop.preconditionCurrent()
    let id = ids.next()
    reads.insert(done, for: id)
    newLocalReads.append(id)
  }

  /// Asks the core about leases, all that are asked in one turn of the loop together.
  func askLeases(_ kind: LeaseQuestion.Kind, _ done: @escaping OutcomeHandler) {
    newLeaseQuestions.append(LeaseQuestion(id: expect(done), kind))
  }

  /// Asks the core about the v2 store as it is here.
  func askV2(_ kind: V2Question.Kind, _ done: @escaping OutcomeHandler) {
    newV2Questions.append(V2Question(id: expect(done), kind))
  }

  private func flush() {
    guard
      !(proposals.isEmpty && newReads.isEmpty && newLocalReads.isEmpty && newLeaseQuestions.isEmpty
        && newV2Questions.isEmpty)
    else { return }
    var events: [MemberEvent] = []
    if !proposals.isEmpty { events.append(.propose(exchange(&proposals, with: []))) }
    if !newReads.isEmpty { events.append(.read(exchange(&newReads, with: []))) }
    if !newLocalReads.isEmpty { events.append(.readLocal(exchange(&newLocalReads, with: []))) }
    if !newLeaseQuestions.isEmpty {
      events.append(.askLeases(exchange(&newLeaseQuestions, with: [])))
    }
    if !newV2Questions.isEmpty { events.append(.askV2(exchange(&newV2Questions, with: []))) }
    host.post(events)
  }

  /// Answers of one core turn.
  func answer(_ replies: [Reply], _ batches: [ReadBatch], term: Term) {
    loop.preconditionCurrent()
    for reply in replies {
      outcomes.remove(reply.id)?(reply.outcome, term)
    }
    for batch in batches {
      for id in batch.ids { reads.remove(id)?(batch.result, term) }
    }
  }

  /// Fails everything that waits.
  func failAll(_ error: EtcdError) {
    for done in outcomes.removeAll() { done(.failed(error), 0) }
    for done in reads.removeAll() { done(.failure(error), 0) }
  }
}
