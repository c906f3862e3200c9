import Bytes
import EtcdAPI

/// Proposals of other members that raft did not take: leadership was being handed over, or nobody led. Dropped,
/// as etcd does, they would leave clients of other members waiting for a request's whole time.
///
/// A value; times in ticks. What is held is a message that is still on its way: it may come late, and never
/// twice, nor after the time in which somebody waits for it.
struct ForwardedProposals: Sendable {
  /// Bytes of proposals that are held; more are dropped.
  static let bytesMax = 16 << 20

  private var held: [(message: Raftpb.Message, bytes: Int, tick: Int)] = []
  private var bytes = 0
  private var refusal: ProposalQueue.Circumstances?

  var isEmpty: Bool { held.isEmpty }

  /// Keeps a proposal that was refused, unless there is no room.
  /// - Parameter tick: when it came.
  mutating func hold(_ message: Raftpb.Message, tick: Int) {
    let size = message.entries.reduce(0) { $0 &+ $1.data.count }
    guard size <= Self.bytesMax &- bytes else { return }
    bytes = bytes &+ size
    held.append((message, size, tick))
  }

  /// What raft is to be asked again, in order; nothing when it was refused under the same circumstances.
  mutating func take(
    _ now: ProposalQueue.Circumstances
  ) -> [(message: Raftpb.Message, tick: Int)] {
    guard !held.isEmpty, refusal != now else { return [] }
    defer {
      held.removeAll()
      bytes = 0
      refusal = nil
    }
    return held.map { ($0.message, $0.tick) }
  }

  /// Raft refused again: it is asked once something has changed.
  mutating func refused(_ now: ProposalQueue.Circumstances) { refusal = now }

  /// Drops what came `limit` ticks ago: nobody waits for it any more.
  mutating func expire(tick: Int, after limit: Int) {
    guard held.contains(where: { tick &- $0.tick >= limit }) else { return }
    held.removeAll { tick &- $0.tick >= limit }
    bytes = held.reduce(0) { $0 &+ $1.bytes }
  }
}
