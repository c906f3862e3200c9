import Bytes
import Calls
import EtcdAPI
import EventLoops
import GRPC
import Protobuf
import Synchronization

/// Whether the members that the proxy talks to know a leader, for streams whose clients ask for that
/// (`hasleader`): streams to the cluster are shared, so that a member cannot end those of single clients.
///
/// Begun by the first client that asks, and ended a minute after the last. Confined to the loop of its upstream, but for what streams call.
///
/// - Source: etcd `grpcproxy/leader.go`.
final class LeaderWatch: @unchecked Sendable {
  // @unchecked: confined to `upstream.loop`, but for `state`, which is locked.

  private struct State {
    var isLost = false
    var hasBegun = false
    var streams: [ObjectIdentifier: @Sendable () -> Void] = [:]
  }

  private let upstream: Upstream
  private let state = Mutex(State())
  private var feed: ClientFeed?
  private var isClosed = false
  /// Declares the leader lost where no member answers for long.
  private var alarm: LoopTimer?
  /// Ends the watch when nobody has asked for long.
  private var ending: LoopTimer?

  static let name: Bytes = "hasleader"
  static let wanted: Bytes = "true"
  /// Watched, and never written.
  private static let key: Bytes = "__lostleader"
  private static let pause = Duration.milliseconds(100)
  private static let linger = Duration.seconds(60)
  private static let patience = Duration.seconds(3)

  init(_ upstream: Upstream) { self.upstream = upstream }

  func close() {
    isClosed = true
    alarm?.cancel()
    ending?.cancel()
    feed?.cancel()
  }

  /// Whether a client's stream ends with the leader. Any thread.
  static func isWanted(_ metadata: Metadata) -> Bool { metadata.first(name) == wanted }

  /// Ends a stream when the leader is lost, until `leave`. Any thread.
  /// - Parameter end: called on any thread.
  /// - Throws: when there is none now.
  func enter(_ stream: AnyObject, _ end: @escaping @Sendable () -> Void) throws(GRPCStatus) {
    let begins = try state.withLock { state throws(GRPCStatus) in
      if state.isLost { throw GRPCStatus.noLeader }
      state.streams[ObjectIdentifier(stream)] = end
      defer { state.hasBegun = true }
      return !state.hasBegun
    }
    if begins { upstream.loop.execute { self.begin() } }
  }

  /// Any thread.
  func leave(_ stream: AnyObject) {
    let isLast = state.withLock { state in
      state.streams.removeValue(forKey: ObjectIdentifier(stream)) != nil && state.streams.isEmpty
    }
    if isLast { upstream.loop.execute { self.restLater() } }
  }

  /// Most clients come again.
  private func restLater() {
    guard !isClosed else { return }
    ending?.cancel()
    ending = upstream.loop.schedule(after: Self.linger) { [weak self] in self?.rest() }
  }

  /// Nobody asks any more.
  private func rest() {
    let isOver = state.withLock { state in
      guard state.streams.isEmpty else { return false }
      state.hasBegun = false
      state.isLost = false
      return true
    }
    guard isOver else { return }
    alarm?.cancel()
    alarm = nil
    feed?.cancel()
    feed = nil
  }

  private var isAsked: Bool { state.withLock { $0.hasBegun } }

  private func begin() {
    guard !isClosed, feed == nil, isAsked else { return }
    upstream.connection(deadline: nil) { [weak self] result in
      guard let self, !isClosed, feed == nil, isAsked else { return }
      guard case .success(let client) = result else { return ended(nil) }
      do throws(GRPCStatus) {
        let feed = try client.feed(
          Etcdserverpb.WatchService.watch.path,
          metadata: [Self.name.string: Self.wanted.string],
          onMessage: { [weak self] in self?.take($0) },
          onEnd: { [weak self] in self?.ended($0) })
        self.feed = feed
        // Nothing ever has this revision.
        let create = Etcdserverpb.WatchCreateRequest(key: Self.key, startRevision: .max &- 2)
        feed.send(Etcdserverpb.WatchRequest(requestUnion: .createRequest(create)).encoded())
      } catch { ended(error) }
    }
  }

  private func take(_ message: Bytes) {
    guard let response = try? Etcdserverpb.WatchResponse.decode(message) else { return }
    // Who may not watch the key is told so by a member with a leader.
    guard response.created || response.canceled else { return }
    alarm?.cancel()
    alarm = nil
    state.withLock { $0.isLost = false }
  }

  private func ended(_ status: GRPCStatus?) {
    feed = nil
    guard !isClosed, isAsked else { return }
    if status?.message == EtcdError.noLeader.message {
      lose()
    } else if alarm == nil {
      alarm = upstream.loop.schedule(after: Self.patience) { [weak self] in self?.lose() }
    }
    upstream.loop.schedule(after: Self.pause) { [weak self] in self?.begin() }
  }

  private func lose() {
    let ends = state.withLock { state in
      state.isLost = true
      defer { state.streams = [:] }
      return state.streams.values.map { $0 }
    }
    for end in ends { end() }
  }
}
