import EtcdAPI
import MVCC
import Member
import Membership

/// A thread of a simulated member.
public enum MemberThread: Sendable {
  case core, log, storage
  /// The loop of clients and peers.
  case loop
}

/// What the loop of clients and peers sees of a turn.
public enum TurnNews: Sendable {
  case answers([Reply], [ReadBatch])
  case messages([Raftpb.Message])
  case snapshots([SnapshotSend])
  case membership([Membership.Change])
  case rows(NewRows, StoreSnapshot)
}

/// The loop of clients and peers as far as order goes: what it was given by itself runs before what
/// other threads gave it, as in `EventLoop`.
struct SimulatedLoop {
  /// News with the number of its turn.
  struct Piece: Sendable {
    let turn: Int
    let news: TurnNews
  }

  enum Work {
    case drainAnswers
    case drainPeers
    case drainRows
    /// Handed over past the queues, which is a fault.
    case direct(Piece)
    case auth(turn: Int, AuthChange)
  }

  private var local: [Work] = []
  private var inbox: [Work] = []
  private var answers = (queue: TurnQueue<Piece>(), receipt: TurnReceipt())
  private var peers = (queue: TurnQueue<Piece>(), receipt: TurnReceipt())
  private var rows = (queue: TurnQueue<Piece>(), receipt: TurnReceipt())

  var hasWork: Bool { !(local.isEmpty && inbox.isEmpty) }

  mutating func execute(_ work: Work, by thread: MemberThread) {
    if thread == .loop { local.append(work) } else { inbox.append(work) }
  }

  /// Leaves what a turn has for clients and peers, as a server does (`HandOver`).
  mutating func handOver(_ piece: Piece, by thread: MemberThread) {
    switch piece.news {
    case .answers: if answers.queue.leave(piece) { execute(.drainAnswers, by: thread) }
    case .rows: if rows.queue.leave(piece) { execute(.drainRows, by: thread) }
    default: if peers.queue.leave(piece) { execute(.drainPeers, by: thread) }
    }
  }

  /// Everything that waits, in the order in which the loop comes to it.
  mutating func take() -> [Work] { exchange(&local, with: []) + exchange(&inbox, with: []) }

  mutating func drainAnswers() -> [Piece] { answers.receipt.take(answers.queue.drain()) }
  mutating func drainPeers() -> [Piece] { peers.receipt.take(peers.queue.drain()) }
  mutating func drainRows() -> [Piece] { rows.receipt.take(rows.queue.drain()) }
}
