import Bytes
import EventLoops
import HTTP
import JSON
import PeerTransport

/// One request on its way through a v2 proxy: to the first member that answers, and the answer back as it comes.
/// Confined to its loop.
///
/// - Source: etcd `proxy/httpproxy/reverse.go`.
final class ProxyCall: HTTPResponseHandler {
  private let exchange: HTTPExchange
  private let proxy: V2Proxy
  private let start: UInt64
  private var request: ForwardedRequest?
  /// Members that were not tried yet.
  private var left: [String] = []
  private var asked = 0
  /// Who is asked.
  private var current = ""
  private var call: HTTPClientCall?
  private var isAnswering = false
  private var isOver = false
  private var writeTimer: LoopTimer?
  private var unsent = 0
  /// Bytes of the body, which may have to be sent again.
  private var held = 0

  init(_ exchange: HTTPExchange, _ proxy: V2Proxy) {
    self.exchange = exchange
    self.proxy = proxy
    start = exchange.loop.now
  }

  private var method: String { exchange.request.method }

  /// Reads the body and asks.
  func begin() {
    proxy.metrics.came(method)
    let limit = V2Proxy.bodyBytesMax
    if let length = exchange.request.headers["content-length"].flatMap({ Int($0) }), length > limit
    {
      return failed(.tooLarge(limit: limit))
    }
    exchange.collectBody(limit: limit, budget: proxy.bodies) { [self] result in
      switch result {
      case .success(let body):
        guard proxy.hold(body.count) else {
          return refuse(503, "request bodies under way have no room for another")
        }
        held = body.count
        let client = exchange.remoteAddress?.host
        request = ForwardedRequest(exchange.request, body: body, client: client)
        choose()
      case .failure(let error): failed(error)
      }
    }
  }

  private func failed(_ error: HTTPBodyError) {
    proxy.logger.info("failed to read request body", [LogField("error", .error(error))])
    refuse(Self.status(error), "failed to read request body: \(error)")
  }

  /// etcd says 500 for all of them.
  private static func status(_ error: HTTPBodyError) -> Int {
    switch error {
    case .tooLarge: 413
    case .noRoom, .tooSlow: 503
    case .malformed, .disconnected, .timedOut: 500
    }
  }

  private func choose() {
    guard exchange.isConnected else { return end() }
    left = proxy.director.available(exchange.loop.now)
    asked = left.count
    guard !left.isEmpty else {
      proxy.metrics.dropped(method, .zeroEndpoints)
      proxy.logger.info("zero endpoints currently available")
      return refuse(503, "zero endpoints currently available")
    }
    exchange.onDisconnect = { [self] in
      proxy.logger.info(
        "client closed request prematurely",
        [LogField("remote-addr", .string(exchange.remoteAddress.map { "\($0)" } ?? ""))])
      end()
      call?.cancel()
    }
    askNext()
  }

  private func askNext() {
    guard let request, !left.isEmpty else {
      let message = "unable to get response from \(asked) endpoint(s)"
      proxy.metrics.dropped(method, .failedGetting)
      proxy.logger.info(message)
      return refuse(502, message)
    }
    current = left.removeFirst()
    guard let origin = PeerURL(current)?.origin else {
      proxy.logger.info("upstream URL invalid", [LogField("error", .string(current))])
      return askNext()
    }
    var outgoing = HTTPClientRequest(
      request.method, origin, request.target, headers: request.headers,
      body: request.body.map { .bytes($0) } ?? .none)
    outgoing.connectTimeout = proxy.dialTimeout
    outgoing.headTimeout = proxy.readTimeout
    outgoing.idleTimeout = proxy.readTimeout
    call = proxy.client.start(outgoing, self)
    watchWrites()
  }

  // MARK: the member

  func responseHead(_ head: HTTPResponseHead) {
    writeTimer?.cancel()
    guard !isOver else { return }
    isAnswering = true
    // checked: both are of the loop's clock
    let seconds = Double(exchange.loop.now &- start) / 1e9
    proxy.metrics.handled(method, status: head.status, seconds: seconds)
    let headers = ForwardedRequest.endToEnd(head.headers)
    // Browsers refuse a field of these that comes twice.
    if headers["access-control-allow-origin"] != nil { exchange.extraHeaders = [:] }
    exchange.startResponse(status: head.status, headers: headers)
  }

  func responseData(_ bytes: Bytes) {
    guard !isOver else { return }
    exchange.write(bytes)
    guard !exchange.isWritable else { return }
    call?.pause()
    exchange.onWritable = { [self] in call?.resume() }
  }

  func responseEnded() {
    guard !isOver else { return }
    end()
    exchange.finish()
  }

  func responseFailed(_ error: HTTPClientError) {
    writeTimer?.cancel()
    guard !isOver else { return }
    guard !isAnswering else {
      // The client is to see that the answer is not whole.
      end()
      return exchange.abort()
    }
    proxy.metrics.dropped(method, .failedSending)
    proxy.logger.info(
      "failed to direct request",
      [LogField("url", .string(current)), LogField("error", .error(error))])
    proxy.failed(current)
    askNext()
  }

  func requestWritable() {}

  /// A member that takes nothing of a request for the time of a write does not answer.
  private func watchWrites() {
    guard let timeout = proxy.writeTimeout, request?.body != nil else { return }
    unsent = Int.max
    writeTimer = exchange.loop.schedule(after: timeout, repeating: timeout) { [weak self] in
      guard let self, let call else { return }
      let waiting = call.channel?.pendingWriteBytes ?? 0
      guard waiting > 0, waiting >= unsent else {
        unsent = waiting
        return
      }
      call.cancel()
    }
  }

  // MARK: ends

  private func end() {
    isOver = true
    proxy.release(held)
    held = 0
    request = nil
    writeTimer?.cancel()
    exchange.onDisconnect = nil
    exchange.onWritable = nil
  }

  private func refuse(_ status: Int, _ message: String) {
    end()
    V2Proxy.refuse(exchange, status, message)
  }
}
