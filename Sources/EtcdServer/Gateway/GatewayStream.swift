import Bytes
import Calls
import EventLoops
import HTTP
import JSON
import Protobuf

/// Where the answers of a stream go: lines of a body, messages of a websocket. Confined to the loop.
protocol GatewayOutput: AnyObject {
  var isConnected: Bool { get }
  /// Whether more should be sent now.
  var isWritable: Bool { get }
  /// Called when there is room again, or the client has gone.
  var onProgress: (() -> Void)? { get set }
  /// What stands behind each answer.
  var lineEnd: Bytes { get }
  /// - Parameter status: of the response, for the first line; other than 200 in the last.
  func send(_ line: Bytes, status: Int)
  /// Nothing follows.
  func end()
}

/// A stream of the gateway: takes requests, and turns answers into lines. Confined to the loop.
final class GatewayStream: @unchecked Sendable {
  // @unchecked: confined to the loop of its gateway.

  private let gateway: Gateway
  private let method: MethodDescriptor
  private let output: any GatewayOutput
  private let stream: LocalStream
  private var waiter: UnsafeContinuation<Void, Never>?
  /// Why the client's requests make no stream.
  private var refusal: GRPCStatus?
  private var hasAnswered = false

  /// Bytes of requests that the service has not read.
  private static let unreadBytesMax = 256 << 10

  /// Opens the stream.
  /// - Throws: why it is not served.
  init(
    _ gateway: Gateway, _ method: MethodDescriptor, _ context: LocalContext,
    _ output: any GatewayOutput
  ) throws(GRPCStatus) {
    self.gateway = gateway
    self.method = method
    self.output = output
    gateway.member.metrics.requests.count(context.caller.metadata, isUnary: false)
    stream = try gateway.calls.stream(method.path, context)
    output.onProgress = { [weak self] in self?.progressed() }
    Task(executorPreference: gateway.member.loop) { await self.answer() }
  }

  // MARK: Requests

  /// Whether the service should read before more is sent.
  var isFull: Bool { stream.unreadBytes > Self.unreadBytesMax }

  /// Called when the service has read a request.
  func onRead(_ body: @escaping () -> Void) { stream.onRead = body }

  func send(_ request: Bytes) { stream.send(request) }

  func endRequests() { stream.endRequests() }

  /// The client has gone.
  func cancel() {
    stream.cancel()
    progressed()
  }

  /// Ends the stream for what the client has sent.
  func refuse(_ status: GRPCStatus) {
    refusal = status
    cancel()
  }

  // MARK: Answers

  private func answer() async {
    do {
      while let message = try await stream.next() {
        let text = try await encoded(message)
        hasAnswered = true
        output.send(result(text), status: 200)
        while !output.isWritable, output.isConnected { await progress() }
      }
    } catch {
      let status = refusal ?? GRPCStatus(error)
      let isRefused = refusal != nil && !hasAnswered
      output.send(
        isRefused ? GatewayError.body(status) : GatewayError.line(status),
        status: GatewayError.httpStatus(status.code))
      // It may be the text that failed, and not the service.
      stream.cancel()
    }
    output.end()
    output.onProgress = nil
  }

  private func encoded(_ message: Bytes) async throws -> Bytes {
    let result = await withUnsafeContinuation {
      (done: UnsafeContinuation<Result<Bytes, GRPCStatus>, Never>) in
      gateway.encode(method, message) { done.resume(returning: $0) }
    }
    return try result.get()
  }

  private func result(_ text: Bytes) -> Bytes {
    var line = ByteWriter(capacity: text.count + 16)
    line.append("{\"result\":")
    line.append(text)
    line.append("}")
    line.append(output.lineEnd)
    return line.finish()
  }

  private func progress() async {
    await withUnsafeContinuation { continuation in
      if output.isWritable || !output.isConnected {
        continuation.resume()
      } else {
        waiter = continuation
      }
    }
  }

  private func progressed() {
    let waiter = waiter
    self.waiter = nil
    waiter?.resume()
  }
}

/// Answers as lines of a response's body.
final class GatewayLines: GatewayOutput {
  private let exchange: HTTPExchange
  private var hasBegun = false
  var onProgress: (() -> Void)?

  init(_ exchange: HTTPExchange) {
    self.exchange = exchange
    exchange.onWritable = { [weak self] in self?.onProgress?() }
  }

  var isConnected: Bool { exchange.isConnected }
  var isWritable: Bool { exchange.isWritable }
  let lineEnd: Bytes = "\n"

  func send(_ line: Bytes, status: Int) {
    begin(status)
    exchange.write(line)
  }

  private func begin(_ status: Int) {
    guard !hasBegun else { return }
    hasBegun = true
    exchange.startResponse(
      status: status,
      headers: status == 200 ? Gateway.answerHeaders : ["Content-Type": "application/json"])
  }

  func end() {
    begin(200)
    exchange.finish()
  }
}
