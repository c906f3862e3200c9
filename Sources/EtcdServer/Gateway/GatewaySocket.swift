import Bytes
import Calls
import EventLoops
import HTTP
import JSON
import Protobuf

/// A websocket of the gateway: its messages are the body of a request, and each line of the answer a message.
/// A method with one request is called with the first value. Confined to the loop.
///
/// - Source: tmc/grpc-websocket-proxy, as etcd uses it.
final class GatewaySocket: HTTPBodyConsumer, GatewayOutput {
  private let exchange: HTTPExchange
  private let gateway: Gateway
  private let path: String
  private var decoder: WebSocketDecoder
  private var requests: GatewayRequests?
  /// The one request of a method that has no more.
  private var single: JSONSplitter?
  private var context = LocalContext(caller: Caller(metadata: [:]))
  private var isOver = false
  private var isPaused = false
  /// What has come and is not looked at yet.
  private var input = Bytes()
  private let share: GatewayShare
  var onProgress: (() -> Void)?

  /// Answers a request that asks for a websocket.
  static func open(_ exchange: HTTPExchange, path: String, _ gateway: Gateway) {
    switch WebSocketHandshake.answer(exchange.request) {
    case .refused(let status, let text):
      exchange.refuse(status, text, ["Sec-WebSocket-Version": "13"])
    case .accepted(let headers):
      let socket = GatewaySocket(exchange, path, gateway)
      exchange.upgrade(headers, consumer: socket)
      exchange.onWritable = { [weak socket] in socket?.writable() }
      socket.begin()
    }
  }

  private init(_ exchange: HTTPExchange, _ path: String, _ gateway: Gateway) {
    self.exchange = exchange
    self.gateway = gateway
    self.path = path
    decoder = WebSocketDecoder(messageBytesMax: gateway.textBytesMax)
    share = GatewayShare(of: gateway.unfinished.value)
  }

  private func begin() {
    guard let method = GatewayRoutes.methods[path] else { return refuse(Gateway.notFound) }
    do throws(GRPCStatus) {
      context = try gateway.context(WebSocketHandshake.inner(exchange.request), exchange)
      guard method.clientStreaming else {
        single = JSONSplitter(limits: gateway.limits)
        return
      }
      let stream = try GatewayStream(gateway, method, context, self)
      requests = GatewayRequests(gateway, method, stream)
      exchange.onDisconnect = { stream.cancel() }
    } catch { refuse(error) }
  }

  // MARK: from the client

  var wantsRest: Bool { false }

  func bodyData(_ bytes: Bytes) {
    input = input.followed(by: bytes)
    work()
  }

  /// Looks at what has come, as far as there is room for requests.
  private func work() {
    do throws(WebSocketDecoder.Failure) {
      while !isOver, requests?.isFull != true, let event = try decoder.next(&input) {
        handle(event)
      }
    } catch {
      return close(error.status, error.reason)
    }
    // 1013: try again later.
    guard isOver || share.hold(decoder.heldBytes + (single?.heldBytes ?? 0)) else {
      return close(1013, "too many requests")
    }
    updateReading()
  }

  private func handle(_ event: WebSocketDecoder.Event) {
    switch event {
    case .message(let text):
      if let requests {
        requests.take(text)
        requests.take("\n")
      } else {
        takeSingle(text)
      }
    case .ping(let content):
      // Who does not read its pongs gets no more.
      if exchange.isWritable { write(WebSocketFrames.pong(content)) }
    case .close(let status): close(status ?? 1000)
    }
  }

  func bodyEnded() { left() }
  func bodyFailed(_ error: HTTPBodyError) { left() }

  /// The client has gone without a word; the connection is ours to end.
  private func left() {
    gone()
    exchange.finish()
  }

  /// What is under way is given up.
  private func gone() {
    isOver = true
    let giveUp = exchange.onDisconnect
    exchange.onDisconnect = nil
    giveUp?()
    onProgress?()
  }

  /// Back-pressure: nothing is read while answers or requests wait.
  private func updateReading() {
    let isFull = !exchange.isWritable || requests?.isFull == true
    guard !isOver, isFull != isPaused else { return }
    isPaused = isFull
    guard isFull else { return exchange.resumeBody() }
    exchange.pauseBody()
    requests?.onRoom = { [weak self] in self?.work() }
  }

  private func writable() {
    onProgress?()
    updateReading()
  }

  // MARK: one request

  private func takeSingle(_ text: Bytes) {
    do throws(JSONError) {
      single?.feed(text)
      guard let value = try single?.next() ?? single?.finish() else { return }
      single = nil
      guard let method = GatewayRoutes.methods[path] else { return }
      gateway.decode(method, value) { self.decoded(method, $0) }
    } catch {
      refuse(GatewayError.malformed(error))
    }
  }

  private func decoded(_ method: MethodDescriptor, _ request: Result<Bytes, GRPCStatus>) {
    guard !isOver, exchange.isConnected else { return }
    do throws(GRPCStatus) {
      let request = try request.get()
      guard method.serverStreaming else {
        return gateway.unary(method, context, request, on: exchange) { self.answer($0) }
      }
      let stream = try GatewayStream(gateway, method, context, self)
      exchange.onDisconnect = { stream.cancel() }
      stream.send(request)
      stream.endRequests()
    } catch { refuse(error) }
  }

  private func answer(_ reply: Result<Bytes, GRPCStatus>) {
    do throws(GRPCStatus) {
      send(try reply.get(), status: 200)
      end()
    } catch { refuse(error) }
  }

  // MARK: to the client

  var isConnected: Bool { exchange.isConnected && !isOver }
  var isWritable: Bool { exchange.isWritable }
  let lineEnd = Bytes()

  func send(_ line: Bytes, status: Int) {
    if !isOver { write(WebSocketFrames.text(line)) }
  }

  func end() { close(1000) }

  private func refuse(_ status: GRPCStatus) {
    send(GatewayError.body(status), status: GatewayError.httpStatus(status.code))
    end()
  }

  private func write(_ parts: [Bytes]) {
    for part in parts { exchange.write(part) }
  }

  private func close(_ status: UInt16, _ reason: String = "") {
    guard !isOver else { return }
    write(WebSocketFrames.close(status, reason))
    gone()
    exchange.finish()
  }
}
