import Bytes
import EventLoops
import HTTP

/// Sends one request to one place; the calling thread waits for all of the answer.
package final class V2Transport: Sendable {
  /// Of an answer: more than a server's whole v2 store.
  package static let bodyBytesMax = 1 << 30

  package let loop: EventLoop
  private let client: LoopConfined<HTTPClient>
  private let dialTimeout: Duration
  private let bodyBytesMax: Int
  private let forward: @Sendable (HTTPClientRequest) -> HTTPClientRequest

  /// - Parameters:
  ///   - dialTimeout: to have a connection; half a minute at most.
  ///   - loop: runs until the transport is closed, and is not the caller's.
  ///   - bodyBytesMax: of an answer.
  ///   - forward: what becomes of a request on its way, for a proxy.
  package init(
    _ dial: @escaping HTTPClient.Dial, dialTimeout: Duration, loop: EventLoop,
    bodyBytesMax: Int = V2Transport.bodyBytesMax,
    forward: @escaping @Sendable (HTTPClientRequest) -> HTTPClientRequest = { $0 }
  ) {
    self.bodyBytesMax = bodyBytesMax
    self.forward = forward
    self.dialTimeout =
      dialTimeout > .zero ? min(dialTimeout, Self.longestDial) : Self.longestDial
    client = LoopConfined(HTTPClient(loop: loop, dial: dial))
    self.loop = loop
  }

  package func close() { loop.execute { [client] in client.value.close() } }

  /// Sends a request.
  /// - Parameters:
  ///   - place: what the errors call the endpoint.
  ///   - headTimeout: to connect, and then until the head; `nil` for as long as it takes once there is a connection.
  ///   - deadline: the end of everything; `nil` for none.
  package func send(
    _ request: HTTPClientRequest, _ place: String, headTimeout: Duration?,
    deadline: ContinuousClock.Instant?
  ) throws(V2Failure) -> V2Answer {
    let left = deadline.map { $0 - .now }
    if let left, left <= .zero { throw .deadline }
    var request = request
    let patience = [headTimeout, left].compactMap { $0 }.min()
    let isDialShort = patience.map { $0 > dialTimeout } ?? true
    request.connectTimeout = isDialShort ? dialTimeout : patience ?? dialTimeout
    request.headTimeout = patience
    request.idleTimeout = nil
    let sent = forward(request)
    let parcel = Parcel<Result<V2Answer, V2Failure>>()
    loop.execute { [client, loop, bodyBytesMax] in
      var timer: LoopTimer?
      let call = client.value.send(sent, limit: bodyBytesMax) { result in
        timer?.cancel()
        parcel.give(
          result.map {
            V2Answer(status: $0.head.status, headers: $0.head.headers, body: $0.body)
          }.mapError { error in
            guard !(deadline.map { $0 <= .now } ?? false) else { return .deadline }
            if isDialShort, case .connect(.timedOut(let operation)) = error {
              return .attempt("\(operation): i/o timeout", isConnection: true)
            }
            return Self.failure(error, place)
          })
      }
      guard let left else { return }
      timer = loop.schedule(after: left) { call.cancel() }
    }
    return try parcel.wait().get()
  }

  private static let longestDial = Duration.seconds(30)

  private static func failure(_ error: HTTPClientError, _ place: String) -> V2Failure {
    let silence = V2Failure.attempt(
      "client: endpoint \(place) exceeded header timeout", isConnection: false)
    switch error {
    case .connect(.timedOut), .timedOut: return silence
    case .cancelled: return .deadline
    case .connect(.system(let operation, let error)):
      return .attempt("\(operation): connect: \(error)", isConnection: true)
    case .disconnected(nil): return .attempt("EOF", isConnection: false)
    case .disconnected: return .attempt("\(error)", isConnection: true)
    case .connect, .malformed, .tooLarge: return .attempt("\(error)", isConnection: false)
    }
  }
}
