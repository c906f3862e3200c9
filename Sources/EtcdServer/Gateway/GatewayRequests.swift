import Bytes
import Calls
import EtcdAPI
import EventLoops
import HTTP
import JSON
import Protobuf

/// JSON values that follow each other, as the requests of a stream. Confined to the loop.
///
/// - Source: grpc-gateway's `handleSend`: the first value must be right; another that is not ends the requests.
final class GatewayRequests {
  let gateway: Gateway
  let stream: GatewayStream
  private let method: MethodDescriptor
  private var splitter: JSONSplitter
  private(set) var count = 0
  /// Whether nothing of what comes is looked at any more.
  private var isOver = false
  /// Whether what has come is worked on in a later turn.
  private var isBehind = false
  private var hasEnded = false
  private let share: GatewayShare
  /// Called when there may be room again.
  var onRoom: (() -> Void)?

  /// Values that are read before others have their turn.
  private static let valuesPerTurn = 64

  init(_ gateway: Gateway, _ method: MethodDescriptor, _ stream: GatewayStream) {
    self.gateway = gateway
    self.method = method
    self.stream = stream
    splitter = JSONSplitter(limits: gateway.limits)
    share = GatewayShare(of: gateway.unfinished.value)
    stream.onRead { [weak self] in self?.onRoom?() }
  }

  /// Whether no more should come for now.
  var isFull: Bool { !isOver && (isBehind || stream.isFull) }

  /// Some of the text has come.
  func take(_ bytes: Bytes) {
    guard !isOver else { return }
    splitter.feed(bytes)
    if !isBehind { work() }
    guard !isOver, !share.hold(splitter.heldBytes) else { return }
    isOver = true
    stream.refuse(GRPCStatus(.tooManyRequests))
  }

  /// Nothing follows.
  func end() {
    hasEnded = true
    if !isBehind { finish() }
  }

  private func work() {
    isBehind = false
    var left = Self.valuesPerTurn
    do throws(JSONError) {
      while !isOver, let text = try splitter.next() {
        guard text.count <= Gateway.inlineBytesMax else { return decodeElsewhere(text) }
        sent(Result { () throws(GRPCStatus) in try gateway.decoded(method, text) })
        left -= 1
        guard left == 0 else { continue }
        isBehind = true
        let rest = LoopConfined(self)
        return gateway.member.loop.execute {
          rest.value.work()
          rest.value.onRoom?()
        }
      }
    } catch {
      isOver = true
      stream.refuse(
        error.kind == .tooLarge
          ? gateway.tooLarge(gateway.textBytesMax + 1) : GatewayError.malformed(error))
    }
    if hasEnded { finish() }
  }

  private func finish() {
    guard !isOver else { return }
    if let text = splitter.finish() {
      guard text.count <= Gateway.inlineBytesMax else { return decodeElsewhere(text) }
      sent(Result { () throws(GRPCStatus) in try gateway.decoded(method, text) })
    }
    guard !isOver else { return }
    isOver = true
    stream.endRequests()
  }

  /// A large value would hold the loop up. What follows it waits.
  private func decodeElsewhere(_ text: Bytes) {
    isBehind = true
    gateway.decode(method, text) { result in
      guard !self.isOver else { return }
      self.sent(result)
      self.work()
      self.onRoom?()
    }
  }

  private func sent(_ request: Result<Bytes, GRPCStatus>) {
    do throws(GRPCStatus) {
      stream.send(try request.get())
      count += 1
    } catch {
      isOver = true
      // Where the first is no request, its error has lost its code on the way.
      guard count == 0 else { return stream.endRequests() }
      stream.refuse(error.code == .invalidArgument ? error.asUnknown : error)
    }
  }
}

/// The requests of a stream as a request's body. Confined to the loop.
final class GatewayBody: HTTPBodyConsumer {
  private let exchange: HTTPExchange
  private let requests: GatewayRequests
  private var isPaused = false

  init(_ exchange: HTTPExchange, _ requests: GatewayRequests) {
    self.exchange = exchange
    self.requests = requests
  }

  var wantsRest: Bool { false }

  func bodyData(_ bytes: Bytes) {
    requests.take(bytes)
    if requests.count > 0, !exchange.mayBeSilent { exchange.mayBeSilent = true }
    guard requests.isFull, !isPaused else { return }
    isPaused = true
    exchange.pauseBody()
    requests.onRoom = { [weak self] in self?.goOn() }
  }

  private func goOn() {
    guard isPaused, !requests.isFull else { return }
    isPaused = false
    exchange.resumeBody()
  }

  func bodyEnded() { requests.end() }

  func bodyFailed(_ error: HTTPBodyError) {
    guard error != .disconnected else { return requests.stream.cancel() }
    requests.stream.refuse(GRPCStatus(.unknown, "\(error)"))
  }
}
