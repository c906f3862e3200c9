import Bytes
import Calls
import EtcdAPI
import EtcdConfig
import EventLoops
import HTTP
import JSON
import Member
import Protobuf

/// The services as JSON over HTTP: a request's body is the request's message, and the answer's body the answer.
/// Calls go to the services of the same loop, without a connection between.
///
/// What is read is bounded like the messages of gRPC. Large texts are read and written by threads.
///
/// - Source: etcd's `rpc.pb.gw.go`; grpc-gateway 1.16.
struct Gateway: Sendable {
  let member: RunningMember
  let calls: LocalCalls
  /// Bytes of bodies that come in at the same time.
  private let budget: LoopConfined<HTTPBodyBudget>
  /// Texts and messages that wait for a thread.
  private let queued = LoopConfined(GatewayBytes(max: Self.queuedBytesMax))
  /// Values of streams that have begun and are not complete.
  let unfinished = LoopConfined(GatewayBytes(max: Self.unfinishedBytesMax))

  /// Bytes of all bodies of a loop's clients together.
  static let bodyBytesMax = 256 << 20
  /// Texts and messages that a loop reads and writes itself.
  static let inlineBytesMax = 64 << 10
  /// Bytes of larger ones that wait for a thread, of all clients of a loop.
  private static let queuedBytesMax = 64 << 20
  /// Bytes of values on streams and websockets that have begun and are not complete, of all clients of a loop.
  private static let unfinishedBytesMax = 64 << 20

  init(member: RunningMember, services: CallRouter) {
    self.member = member
    // 0 is no limit, as for connections of gRPC.
    let most = member.config.maxConcurrentStreams
    calls = LocalCalls(
      services, on: member.loop, clientCallsMax: most == 0 ? .max : Int(clamping: most))
    budget = LoopConfined(HTTPBodyBudget(bytesMax: Self.bodyBytesMax))
  }

  /// Bytes of a message, as of one that comes by gRPC.
  var messageBytesMax: Int { EtcdServer.messageBytesMax(member.config) }
  /// Bytes of its JSON: base64 takes a third more, and a little is left for names and white space.
  var textBytesMax: Int { messageBytesMax / 3 * 4 + (64 << 10) }
  var limits: JSONLimits { JSONLimits(depth: 256, bytes: textBytesMax) }

  /// Serves a request below `/v3/`.
  func serve(_ exchange: HTTPExchange, path: String) {
    if WebSocketHandshake.isWanted(exchange.request) {
      return GatewaySocket.open(exchange, path: path, self)
    }
    guard let method = GatewayRoutes.methods[path] else {
      return refuse(exchange, Self.notFound, httpStatus: 404)
    }
    guard exchange.request.method == "POST" else {
      return refuse(exchange, Self.notAllowed, httpStatus: 501)
    }
    do throws(GRPCStatus) {
      let context = try context(exchange.request.headers, exchange)
      if method.clientStreaming {
        let stream = try GatewayStream(self, method, context, GatewayLines(exchange))
        exchange.onDisconnect = { stream.cancel() }
        exchange.streamBody(GatewayBody(exchange, GatewayRequests(self, method, stream)))
      } else {
        collect(exchange, method, context)
      }
    } catch { refuse(exchange, error) }
  }

  static let notFound = GRPCStatus(.notFound, "Not Found")
  static let notAllowed = GRPCStatus(.unimplemented, "Method Not Allowed")

  /// Who calls, as its header fields say. A certificate counts for nothing here, as in etcd.
  func context(
    _ headers: HTTPHeaders, _ exchange: HTTPExchange
  ) throws(GRPCStatus) -> LocalContext {
    let deadline = try GatewayMetadata.timeout(headers).map { member.loop.now &+ $0 }
    return LocalContext(
      caller: Caller(metadata: try GatewayMetadata.metadata(headers)),
      remoteAddress: exchange.remoteAddress, deadline: deadline, isCounted: true)
  }

  // MARK: One request

  private func collect(
    _ exchange: HTTPExchange, _ method: MethodDescriptor, _ context: LocalContext
  ) {
    let limit = textBytesMax
    if let length = exchange.request.headers["content-length"].flatMap({ Int($0) }), length > limit
    {
      return refuse(exchange, tooLarge(length))
    }
    exchange.collectBody(limit: limit, budget: budget.value) { result in
      switch result {
      case .success(let text): answer(exchange, method, context, text)
      // A connection that still owes an answer is kept until somebody ends it.
      case .failure(.disconnected): exchange.abort()
      case .failure(.tooLarge(let limit)): refuse(exchange, tooLarge(limit + 1))
      case .failure(.noRoom), .failure(.tooSlow): refuse(exchange, GRPCStatus(.tooManyRequests))
      case .failure(let error): refuse(exchange, GRPCStatus(.invalidArgument, "\(error)"))
      }
    }
  }

  /// A message that is too large, in grpc-go's words.
  func tooLarge(_ bytes: Int) -> GRPCStatus {
    GRPCStatus(
      .resourceExhausted,
      "grpc: received message larger than max (\(bytes) vs. \(messageBytesMax))")
  }

  private func answer(
    _ exchange: HTTPExchange, _ method: MethodDescriptor, _ context: LocalContext, _ text: Bytes
  ) {
    decode(method, text) { result in
      guard exchange.isConnected else { return exchange.abort() }
      do throws(GRPCStatus) {
        let request = try result.get()
        if method.serverStreaming {
          let stream = try GatewayStream(self, method, context, GatewayLines(exchange))
          exchange.onDisconnect = { stream.cancel() }
          stream.send(request)
          stream.endRequests()
        } else {
          unary(method, context, request, on: exchange) { reply in
            switch reply {
            case .success(let body):
              exchange.respond(status: 200, headers: Self.answerHeaders, body: body)
            case .failure(let status): refuse(exchange, status)
            }
          }
        }
      } catch { refuse(exchange, error) }
    }
  }

  /// Makes a unary call, and gives it up when the client goes.
  /// - Parameter done: called with the answer as JSON.
  func unary(
    _ method: MethodDescriptor, _ context: LocalContext, _ request: Bytes,
    on exchange: HTTPExchange, _ done: @escaping (Result<Bytes, GRPCStatus>) -> Void
  ) {
    member.metrics.requests.count(context.caller.metadata, isUnary: true)
    let start = member.loop.now
    let call = calls.start(method.path, request, context) { result in
      exchange.onDisconnect = nil
      let status: GRPCStatus = if case .failure(let error) = result { error } else { .ok }
      RequestLog(
        logger: member.logger, slow: member.config.warningUnaryRequestDuration
      ).note(
        FinishedCall(
          path: method.path, isUnary: true, metadata: context.caller.metadata,
          remoteAddress: context.remoteAddress, status: status,
          time: .nanoseconds(Int64(clamping: member.loop.now &- start)),
          requestBytes: request.count, responseBytes: (try? result.get().count) ?? 0))
      switch result {
      case .success(let message): encode(method, message, done)
      case .failure(let status): done(.failure(status))
      }
    }
    if let call, call.isOpen { exchange.onDisconnect = { call.cancel() } }
  }

  static let answerHeaders: HTTPHeaders = [
    "Content-Type": "application/json", "Grpc-Metadata-Content-Type": "application/grpc",
  ]

  func refuse(_ exchange: HTTPExchange, _ status: GRPCStatus, httpStatus: Int? = nil) {
    exchange.respond(
      status: httpStatus ?? GatewayError.httpStatus(status.code),
      headers: ["Content-Type": "application/json"], body: GatewayError.body(status))
  }

  // MARK: JSON

  /// Makes a message of a text. Nothing at all is a message without fields, and what follows the first value
  /// is not looked at.
  func decode(
    _ method: MethodDescriptor, _ text: Bytes,
    _ done: @escaping (Result<Bytes, GRPCStatus>) -> Void
  ) {
    convert(text.count) { () throws(GRPCStatus) -> Bytes in
      try decoded(method, text)
    } _: {
      done($0)
    }
  }

  /// The same at once.
  func decoded(_ method: MethodDescriptor, _ text: Bytes) throws(GRPCStatus) -> Bytes {
    let message: Bytes
    do throws(JSONError) {
      message = try Self.message(text, method.requestType, limits)
    } catch { throw GatewayError.malformed(error) }
    guard message.count <= messageBytesMax else { throw tooLarge(message.count) }
    return message
  }

  private static func message<Message: ProtobufMessage>(
    _ text: Bytes, _: Message.Type, _ limits: JSONLimits
  ) throws(JSONError) -> Bytes {
    var parser = JSONParser(text, limits: limits)
    guard let value = try parser.next(), !value.isNull else { return Bytes() }
    return try Message(jsonField: value, options: JSONOptions(limits: limits)).encoded()
  }

  /// Makes a text of an answer.
  func encode(
    _ method: MethodDescriptor, _ message: Bytes,
    _ done: @escaping (Result<Bytes, GRPCStatus>) -> Void
  ) {
    convert(message.count) { () throws(GRPCStatus) -> Bytes in
      try Self.text(message, method.responseType)
    } _: {
      done($0)
    }
  }

  private static func text<Message: ProtobufMessage>(
    _ message: Bytes, _: Message.Type
  ) throws(GRPCStatus) -> Bytes {
    do throws(ProtobufError) { return try Message.decode(message).json() } catch {
      throw GRPCStatus(.internal, "an answer that is no \(Message.fullName): \(error)")
    }
  }

  /// Does small work at once, and large work on a thread.
  private func convert(
    _ bytes: Int, _ work: @escaping @Sendable () throws(GRPCStatus) -> Bytes,
    _ done: @escaping (Result<Bytes, GRPCStatus>) -> Void
  ) {
    let run: @Sendable () -> Result<Bytes, GRPCStatus> = {
      do throws(GRPCStatus) { return .success(try work()) } catch { return .failure(error) }
    }
    guard bytes > Self.inlineBytesMax else { return done(run()) }
    let queued = queued.value
    guard queued.take(bytes) else { return done(.failure(GRPCStatus(.tooManyRequests))) }
    member.shared.readers.run(on: member.loop, run) { result in
      queued.give(bytes)
      switch result {
      case .success(let made): done(made)
      case .failure(let error): done(.failure(GRPCStatus(error)))
      }
    }
  }
}
