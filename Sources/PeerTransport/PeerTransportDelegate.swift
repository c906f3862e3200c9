import Bytes
import EtcdAPI

/// The member above the transport. Every call comes on the transport's loop and must not block.
public protocol PeerTransportDelegate: AnyObject, Sendable {
  /// All messages that arrived in one turn of the loop, in the order of each stream. What the member
  /// cannot take it drops: raft sends again.
  func received(_ messages: [Raftpb.Message])
  /// Messages to a member were lost.
  func reportUnreachable(_ id: MemberID)
  /// The stream of messages to a member was made, or broke.
  func streamChanged(_ id: MemberID, isUp: Bool)
  /// A snapshot has been taken by a member, or was lost.
  func reportSnapshot(_ id: MemberID, failed: Bool)
  /// Whether a member was removed from the cluster for good.
  func isRemoved(_ id: MemberID) -> Bool
  /// Another member says that this one was removed. Called once.
  func localMemberWasRemoved()
  /// A member told its URLs with a request.
  func memberURLsSeen(_ id: MemberID, _ urls: [String])
  /// A member told the version of its server with a stream.
  func serverVersionSeen(_ id: MemberID, _ version: String)
  /// Where the database that follows `message` goes.
  /// - Parameter resume: called after the sink was full, from any thread.
  /// - Throws: the database cannot be taken.
  func makeSnapshotSink(
    for message: Raftpb.Message, resume: @escaping @Sendable () -> Void
  ) throws(SnapshotError) -> any SnapshotSink
}

/// Why a snapshot could not be read or saved.
public struct SnapshotError: Error, Sendable, Equatable, CustomStringConvertible {
  public let description: String
  public init(_ description: String) { self.description = description }
}

/// A database file to be sent, front to back, one call at a time. Read on the transport's worker where it
/// has one: pages may have to come from the disk, and heartbeats must not wait for them.
public protocol SnapshotSource: AnyObject, Sendable {
  /// Bytes of the whole.
  var totalSize: Int { get }
  /// `count` bytes from `offset`; never beyond `totalSize`.
  func read(offset: Int, count: Int) throws(SnapshotError) -> Bytes
  /// Nothing more is read.
  func close()
}

/// Takes a database file that comes in. Called on the transport's loop; work is done elsewhere.
public protocol SnapshotSink: AnyObject, Sendable {
  /// Takes the next bytes.
  /// - Returns: `false` when the sink is full: nothing more comes until `resume` was called.
  /// - Throws: the file cannot be saved; only `abort` follows.
  func write(_ bytes: Bytes) throws(SnapshotError) -> Bool
  /// The file is complete. `done` is called once, from any thread, when it is durable.
  func finish(_ done: @escaping @Sendable (Result<Void, SnapshotError>) -> Void)
  /// The file will not be complete.
  func abort()
}
