import Bytes
import CNghttp2
import Calls
import EventLoops
import HTTP
import Protobuf

/// Limits and timing of a client connection.
public struct GRPCClientConfiguration: Sendable {
  public var userAgent = "grpc-swift-etcd/1.0"
  public var receivedMessageBytesMax = Int(Int32.max)
  public var sentMessageBytesMax = 2_097_152
  public var streamWindowBytes: Int32 = 1_048_576
  public var connectionWindowBytes: Int32 = 16_777_216
  public var connectTimeout: Duration = .seconds(5)
  /// From the connection to the server's SETTINGS.
  public var handshakeTimeout: Duration = .seconds(20)
  /// Silence after which the client pings; `nil` never.
  public var keepaliveInterval: Duration?
  public var keepaliveTimeout: Duration = .seconds(20)
  public var keepaliveWithoutCalls = false
  /// Whether requests are compressed.
  public var sendsGzip = false
  public init() {}
}

/// One connection to one endpoint. Connecting again after it went down is up to the caller.
///
/// May be used from any task; the work is done on `loop`.
public final class GRPCClient: Sendable {
  public let loop: EventLoop
  public let configuration: GRPCClientConfiguration
  private let connection: GRPCClientConnection

  private init(_ connection: GRPCClientConnection, _ configuration: GRPCClientConfiguration) {
    loop = connection.loop
    self.connection = connection
    self.configuration = configuration
  }

  /// Connects and waits for the server's SETTINGS.
  /// - Parameters:
  ///   - authority: the `:authority` of calls; that of the origin when `nil`.
  ///   - dial: opens the channel, `HTTPClient.dial(_:)` of a policy.
  /// - Throws: `GRPCStatus` Unavailable.
  public static func connect(
    to origin: HTTPOrigin, loop: EventLoop,
    configuration: GRPCClientConfiguration = .init(), authority: String? = nil,
    dial: @escaping HTTPClient.Dial
  ) async throws -> GRPCClient {
    try await attempt(
      to: origin, loop: loop, configuration: configuration, authority: authority, dial: dial
    ).mapError(\.status).get()
  }

  /// The same, telling how far it came.
  public static func attempt(
    to origin: HTTPOrigin, loop: EventLoop,
    configuration: GRPCClientConfiguration = .init(), authority: String? = nil,
    dial: @escaping HTTPClient.Dial
  ) async -> Result<GRPCClient, GRPCConnectFailure> {
    await withUnsafeContinuation { done in
      loop.execute {
        dial(origin, loop, configuration.connectTimeout) { result in
          switch result {
          case .failure(let error):
            done.resume(returning: .failure(GRPCConnectFailure(dialling: error)))
          case .success(let channel):
            let connection = GRPCClientConnection(
              channel: channel, configuration: configuration,
              authority: authority ?? origin.authority, scheme: origin.scheme.rawValue)
            let client = GRPCClient(connection, configuration)
            connection.onReady = {
              connection.onDown = nil
              done.resume(returning: .success(client))
            }
            connection.onDown = { status in
              connection.onReady = nil
              done.resume(
                returning: .failure(
                  GRPCConnectFailure(starting: status, after: connection.lossReason)))
            }
            channel.start()
          }
        }
      }
    }
  }

  /// Calls `body` on the loop once when the connection takes no more calls; at once if so already.
  public func onDown(_ body: @escaping @Sendable (GRPCStatus) -> Void) {
    loop.execute { [connection] in
      if let reason = connection.goAway { body(reason) } else { connection.onDown = body }
    }
  }

  /// Takes no more calls, lets the running ones end and closes.
  public func close() { loop.execute { [connection] in connection.closeGently() } }

  /// Ends everything now.
  public func abort() { loop.execute { [connection] in connection.channel.abort() } }

  // MARK: unary

  /// A unary call.
  /// - Throws: `GRPCStatus`; cancelling the task cancels the call.
  public func unary(
    _ path: String, _ request: Bytes, metadata: Metadata = [:], timeout: Duration? = nil
  ) async throws -> (message: Bytes, info: GRPCReplyInfo) {
    let handle = ClientCallHandle()
    return try await withTaskCancellationHandler {
      try await withUnsafeThrowingContinuation { done in
        loop.execute { [self] in
          handle.call = start(path, request, metadata: metadata, timeout: timeout) {
            done.resume(with: $0)
          }
          if handle.isCancelled { handle.call?.fail(.cancelled, NGHTTP2_CANCEL) }
        }
      }
    } onCancel: {
      loop.execute {
        handle.isCancelled = true
        handle.call?.fail(.cancelled, NGHTTP2_CANCEL)
      }
    }
  }

  /// A unary call with a callback; on the loop.
  /// - Returns: what gives the call up; `nil` when it has failed by now.
  @discardableResult
  public func unary(
    _ path: String, _ request: Bytes, metadata: Metadata = [:], timeout: Duration? = nil,
    _ done: @escaping (Result<(message: Bytes, info: GRPCReplyInfo), GRPCStatus>) -> Void
  ) -> RunningCall? {
    loop.preconditionCurrent()
    return start(path, request, metadata: metadata, timeout: timeout, done).map(RunningCall.init)
  }

  @discardableResult
  private func start(
    _ path: String, _ request: Bytes, metadata: Metadata, timeout: Duration?,
    _ done: @escaping (Result<(message: Bytes, info: GRPCReplyInfo), GRPCStatus>) -> Void
  ) -> ClientCall? {
    let call = makeCall()
    var reply: Bytes?
    var surplus = false
    call.onMessage = { message in
      surplus = reply != nil
      reply = message
    }
    call.onEnd = { [unowned call] status in
      if status.code != .ok {
        done(.failure(status))
      } else if let reply, !surplus {
        done(.success((reply, call.info)))
      } else {
        done(
          .failure(
            GRPCStatus(.internal, "cardinality violation: a unary call has one reply message")))
      }
    }
    do throws(GRPCStatus) {
      try checkSize(request)
      call.outboundEnded = true
      append(request, to: call)
      try connection.open(call, path: path, metadata: metadata, timeout: timeout)
      return call
    } catch {
      call.onEnd = nil
      call.onMessage = nil
      done(.failure(error))
      return nil
    }
  }

  private func makeCall() -> ClientCall {
    ClientCall(loop: loop, receivedMessageBytesMax: configuration.receivedMessageBytesMax)
  }

  private func checkSize(_ message: Bytes) throws(GRPCStatus) {
    let limit = configuration.sentMessageBytesMax
    guard message.count <= limit else {
      throw GRPCStatus(
        .resourceExhausted,
        "trying to send message larger than max (\(message.count) vs. \(limit))")
    }
  }

  private func append(_ message: Bytes, to call: ClientCall) {
    if configuration.sendsGzip, let packed = Gzip.compress([message]) {
      call.outbound.append(.bytes(packed), compressed: true)
    } else {
      call.outbound.append(.bytes(message))
    }
  }

  // MARK: streams

  /// Opens a stream whose replies go to a callback as they come, whatever that does with them; on the loop.
  /// - Parameters:
  ///   - onMessage: gets each reply.
  ///   - onEnd: called once, when the stream is over, unless `ClientFeed.cancel()` was called.
  /// - Throws: when the connection is down.
  public func feed(
    _ path: String, metadata: Metadata = [:], onMessage: @escaping (Bytes) -> Void,
    onEnd: @escaping (GRPCStatus) -> Void
  ) throws(GRPCStatus) -> ClientFeed {
    loop.preconditionCurrent()
    let call = makeCall()
    call.onMessage = onMessage
    call.onEnd = onEnd
    try connection.open(call, path: path, metadata: metadata, timeout: nil)
    return ClientFeed(call)
  }

  /// Opens a stream of requests and replies.
  /// - Throws: `GRPCStatus` when the connection is down.
  public func stream(
    _ path: String, metadata: Metadata = [:], timeout: Duration? = nil
  ) async throws -> ClientStream {
    try await withUnsafeThrowingContinuation { done in
      loop.execute { [self] in
        let call = makeCall()
        do throws(GRPCStatus) {
          try connection.open(call, path: path, metadata: metadata, timeout: timeout)
          done.resume(
            returning: ClientStream(call, sentBytesMax: configuration.sentMessageBytesMax))
        } catch { done.resume(throwing: error) }
      }
    }
  }
}

/// A call that is under way. Used on the loop of its client only.
public struct RunningCall {
  private let call: ClientCall
  init(_ call: ClientCall) { self.call = call }

  /// Gives the call up, telling the server; its callback gets `cancelled`, unless it is over.
  public func cancel() {
    call.loop.preconditionCurrent()
    call.fail(.cancelled, NGHTTP2_CANCEL)
  }
}

/// Lets a cancellation find its call; confined to the loop.
private final class ClientCallHandle: @unchecked Sendable {
  // @unchecked: touched only inside `loop.execute` of one loop.
  var call: ClientCall?
  var isCancelled = false
}

/// A stream of a client. May be used from any task; requests have one writer, replies one reader.
public final class ClientStream: Sendable {
  private let call: ClientCall
  private let sentBytesMax: Int

  init(_ call: ClientCall, sentBytesMax: Int) {
    self.call = call
    self.sentBytesMax = sentBytesMax
  }

  /// Sends a request; waits while more than 256 KiB of earlier ones are queued.
  /// - Throws: the status the stream ended with.
  public func send(_ message: Bytes) async throws {
    guard message.count <= sentBytesMax else {
      throw GRPCStatus(
        .resourceExhausted,
        "trying to send message larger than max (\(message.count) vs. \(sentBytesMax))")
    }
    try await onLoop { [call] in try await call.send(message) }
  }

  /// No request follows.
  public func finish() { call.loop.execute { [call] in call.endInput() } }

  /// Gives the stream up.
  public func cancel() {
    call.loop.execute { [call] in call.fail(.cancelled, NGHTTP2_CANCEL) }
  }

  /// The next reply; `nil` when the server ended the stream with OK.
  /// - Throws: `GRPCStatus` otherwise, `CancellationError` when the task was cancelled.
  public func next() async throws -> Bytes? {
    try await onLoop { [call] in try await call.reader.next() }
  }

  /// Metadata and trailers, as far as they have arrived.
  public func info() async throws -> GRPCReplyInfo { try await onLoop { [call] in call.info } }

  private func onLoop<R: Sendable>(
    _ body: @escaping @Sendable () async throws -> R
  ) async throws -> R {
    if call.loop.isCurrent { return try await body() }
    return try await withTaskExecutorPreference(call.loop) { try await body() }
  }
}
