import Bytes
import Calls
import EtcdAPI
import GRPC
import Protobuf
import Synchronization

/// One watch on a stream of its own, begun again where it was whenever the stream breaks. Has one reader.
///
/// It is pulled: a stream is opened, read and replaced by who asks for the next step and by nobody else, so
/// that nothing queues here. What a reader leaves unread fills the stream's window, and the server holds
/// the rest back.
package final class WatchFeed: Sendable {
  /// What a reader gets.
  package enum Step: Sendable {
    /// The watch exists.
    case created(Etcdserverpb.WatchResponse)
    /// Whole revisions, or a notice of progress.
    case update(Etcdserverpb.WatchResponse)
    /// The server ended the watch; nothing follows.
    case ended(Etcdserverpb.WatchResponse)
  }

  /// How a watch behaves besides its request.
  package struct Behaviour: Sendable {
    /// Whether members that know no leader end the watch.
    package var requiresLeader = false
    /// Whether that is the end; otherwise the watch goes on at another member.
    package var endsWithoutLeader = false
    /// Whether the first creation is a step.
    package var tellsCreation = false
    package init(
      requiresLeader: Bool = false, endsWithoutLeader: Bool = false, tellsCreation: Bool = false
    ) {
      self.requiresLeader = requiresLeader
      self.endsWithoutLeader = endsWithoutLeader
      self.tellsCreation = tellsCreation
    }
  }

  private struct State {
    var cursor: WatchCursor
    var stream: ClientSession.OpenStream?
    /// Whether the server has said on this stream that the watch exists.
    var isCreated = false
    /// Whether creation was told.
    var isTold = false
    /// Streams that broke since the last one that worked.
    var failures = 0
    /// Whether there was a new token since a watch was last created.
    var hasNewToken = false
    var isEnded = false
  }

  private let session: ClientSession
  private let request: Etcdserverpb.WatchCreateRequest
  private let behaviour: Behaviour
  private let state: Mutex<State>

  package init(
    _ session: ClientSession, _ request: Etcdserverpb.WatchCreateRequest, _ behaviour: Behaviour
  ) {
    self.session = session
    self.request = request
    self.behaviour = behaviour
    state = Mutex(State(cursor: WatchCursor(next: request.startRevision)))
  }

  deinit { state.withLock { $0.stream }?.stream.cancel() }

  /// Whether the session was closed, and the watch with it.
  package var isClosed: Bool { session.isClosed }

  /// Asks the server how far the watch has come; the answer is an update without events.
  /// - Throws: when the stream is broken.
  package func requestProgress() async throws(GRPCStatus) {
    guard let open = state.withLock({ $0.isCreated ? $0.stream : nil }) else { return }
    try await send(.progressRequest(.init()), on: open.stream)
  }

  /// The next step; `nil` behind the last one. A reader whose task was cancelled may ask again.
  /// - Throws: a status after which there is no going on, and `cancelled`.
  package func next() async throws(GRPCStatus) -> Step? {
    while !state.withLock({ $0.isEnded }) {
      let response: Etcdserverpb.WatchResponse
      do throws(GRPCStatus) {
        guard let message = try await receive() else {
          throw GRPCStatus(.unavailable, "the server ended the stream")
        }
        response = try Self.decode(message)
      } catch {
        if Task.isCancelled, error.code == .cancelled { throw error }
        try await recover(after: error)
        continue
      }
      if let step = try await take(response) { return step }
    }
    return nil
  }

  private static func decode(
    _ message: Bytes
  ) throws(GRPCStatus) -> Etcdserverpb.WatchResponse {
    do { return try .decode(message) } catch {
      throw GRPCStatus(.dataLoss, "a watch response that is none: \(error)")
    }
  }

  private func take(_ response: Etcdserverpb.WatchResponse) async throws(GRPCStatus) -> Step? {
    let (step, isFirst) = state.withLock { state -> (WatchCursor.Step, Bool) in
      let step = state.cursor.take(response)
      var isFirst = false
      if case .created = step {
        isFirst = !state.isTold
        state.isCreated = true
        state.isTold = true
        state.failures = 0
        state.hasNewToken = false
      }
      return (step, isFirst)
    }
    switch step {
    case .nothing: return nil
    case .created(let response):
      return isFirst && behaviour.tellsCreation ? .created(response) : nil
    case .update(let response): return .update(response)
    case .ended(let response):
      if try await signedInAgain(for: response.cancelReason) { return nil }
      end()
      return .ended(response)
    }
  }

  // MARK: Streams

  private func receive() async throws(GRPCStatus) -> Bytes? {
    let open: ClientSession.OpenStream
    if let running = state.withLock({ $0.stream }) {
      open = running
    } else {
      open = try await begin()
    }
    do { return try await open.stream.next() } catch { throw ClientSession.status(error) }
  }

  private func begin() async throws(GRPCStatus) -> ClientSession.OpenStream {
    var create = request
    create.startRevision = state.withLock { $0.cursor.next }
    let open = try await session.open(
      Etcdserverpb.WatchService.watch,
      Etcdserverpb.WatchRequest(requestUnion: .createRequest(create)),
      metadata: behaviour.requiresLeader ? ["hasleader": "true"] : [:], deadline: nil)
    state.withLock { $0.stream = open }
    return open
  }

  private func send(
    _ union: Etcdserverpb.WatchRequest.OneOf_RequestUnion, on stream: ClientStream
  ) async throws(GRPCStatus) {
    do {
      try await stream.send(Etcdserverpb.WatchRequest(requestUnion: union).encoded())
    } catch { throw ClientSession.status(error) }
  }

  private func end() {
    let open = state.withLock { state in
      state.isEnded = true
      defer { state.stream = nil }
      return state.stream
    }
    open?.stream.cancel()
  }

  private func drop() -> (open: ClientSession.OpenStream?, failures: Int) {
    let (open, failures) = state.withLock { state in
      defer { state.stream = nil }
      state.cursor.reconnect()
      state.isCreated = false
      state.failures += 1
      return (state.stream, state.failures)
    }
    open?.stream.cancel()
    return (open, failures)
  }

  // MARK: Going on

  /// Waits until it makes sense to begin again.
  /// - Throws: when it never does.
  private func recover(after status: GRPCStatus) async throws(GRPCStatus) {
    if session.isClosed { throw Connections.closing }
    if try await signedInAgain(for: status.message) { return }
    guard canGoOn(after: status) else {
      end()
      throw status
    }
    let (_, failures) = drop()
    let pause = Self.pause(failures) * Double.random(in: 0.5...1)
    do { try await Task.sleep(for: pause) } catch { throw .cancelled }
  }

  /// - Source: etcd `client/v3/client.go` isHaltErr.
  private func canGoOn(after status: GRPCStatus) -> Bool {
    if status.message == EtcdError.noLeader.message { return !behaviour.endsWithoutLeader }
    switch status.code {
    // `cancelled` without a cancelled task is a proxy's or a server's that goes down.
    case .unavailable, .internal, .cancelled: return true
    default: return false
    }
  }

  /// The pause after so many streams that broke one after the other: from a millisecond to 100.
  static func pause(_ failures: Int) -> Duration {
    .milliseconds(Swift.min(100, 1 << Swift.min(Swift.max(failures, 1) - 1, 7)))
  }

  /// Gets a new token, once between two watches that were created, when the old one may be the reason.
  ///
  /// etcd before 3.5.9 says that permission is missing when a token has run out.
  private func signedInAgain(for reason: String) async throws(GRPCStatus) -> Bool {
    let refusals = [EtcdError.invalidAuthToken, .authOldRevision, .permissionDenied]
    guard session.hasCredentials, refusals.contains(where: { reason.hasSuffix($0.message) }),
      !state.withLock({ $0.hasNewToken || $0.isCreated })
    else { return false }
    state.withLock { $0.hasNewToken = true }
    let (open, _) = drop()
    do throws(GRPCStatus) {
      try await session.signIn(replacing: open?.token ?? "", deadline: nil)
    } catch {
      // What passes, as a member without a leader, is waited for, and the token asked for again.
      guard canGoOn(after: error) else { throw error }
      let failures = state.withLock { state in
        state.hasNewToken = false
        state.failures += 1
        return state.failures
      }
      do { try await Task.sleep(for: Self.pause(failures)) } catch { throw .cancelled }
    }
    return true
  }
}
