import Auth
import MVCC
import Member

/// Users and roles when a turn changed them, and what that means for tokens.
struct AuthChange: Sendable {
  let store: AuthStore?
  let events: [TokenEvent]
}

/// What clients and peers of one process have seen of its turns.
///
/// Guarantees:
/// 1. Turns are seen in their order.
/// 2. Users and roles never get older.
/// 3. Answers speak of states that never get older: an answer of a later turn shows at least the
///    revision of every earlier one.
/// 4. Who is answered finds users and roles at least as new as the state that answers.
struct ClientView {
  /// What a server checks requests and tokens against (`AccessControl`).
  private(set) var auth: AuthStore
  private var answersTurn = 0
  private var peersTurn = 0
  private var rowsTurn = 0
  private var authTurn = 0
  private var revision: Int64 = 0
  /// The first guarantee that did not hold.
  private(set) var problem: String?

  /// - Parameter auth: users and roles as restored.
  init(_ auth: AuthStore) { self.auth = auth }

  mutating func update(_ change: AuthChange, turn: Int) {
    if turn < authTurn { report("users and roles of turn \(turn) came after those of \(authTurn)") }
    authTurn = max(turn, authTurn)
    guard let store = change.store else { return }
    if store.revision < auth.revision {
      report("users and roles went back from revision \(auth.revision) to \(store.revision)")
    }
    auth = store
  }

  mutating func see(_ piece: SimulatedLoop.Piece) {
    if case .rows = piece.news {
      if piece.turn < rowsTurn { report("watchers saw turn \(piece.turn) after \(rowsTurn)") }
      rowsTurn = max(piece.turn, rowsTurn)
      return
    }
    guard case .answers(let replies, let reads) = piece.news else {
      if piece.turn < peersTurn { report("peers saw turn \(piece.turn) after \(peersTurn)") }
      peersTurn = max(piece.turn, peersTurn)
      return
    }
    if piece.turn < answersTurn {
      report("clients saw turn \(piece.turn) after \(answersTurn)")
    }
    answersTurn = max(piece.turn, answersTurn)
    let floor = revision
    for reply in replies { if let shown = reply.revision { see(shown, floor) } }
    for read in reads {
      guard case .success(let state) = read.result else { continue }
      if auth.revision < state.auth.revision {
        report(
          "a read knows users of revision \(state.auth.revision), its server \(auth.revision)")
      }
      see(state.snapshot.revision, floor)
    }
  }

  private mutating func see(_ shown: Int64, _ floor: Int64) {
    if shown < floor { report("revision \(shown) was answered after \(floor) was") }
    revision = max(revision, shown)
  }

  private mutating func report(_ text: String) { problem = problem ?? text }
}

extension Reply {
  /// Revision of the state that a write left, for writes that are answered as they are applied.
  fileprivate var revision: Int64? {
    switch outcome {
    case .kv(let result):
      switch result {
      case .put, .txn, .deleteRange: result.revision
      case .range, .compaction, .pending: nil
      }
    default: nil
    }
  }
}
