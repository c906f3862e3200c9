import Bytes
import CNghttp2
import Calls
import EventLoops
import Protobuf

/// One call on a server connection: the request's head, its messages, and the answer.
///
/// Confined to the connection's loop.
final class ServerCall: HTTP2Stream, UnaryOrigin, StreamOrigin {
  enum State {
    /// The head is not complete.
    case head
    /// Refused or unknown; input is thrown away.
    case refused
    /// A unary call before its request is complete.
    case collecting(CallRouter.UnaryHandler)
    /// The handler has the request.
    case running
    /// The handler is a task that reads with `ServerStream`.
    case streaming
    /// Status decided.
    case finished
  }

  let server: GRPCServer
  let loop: EventLoop
  let remoteAddress: SocketAddress?
  var state = State.head
  var route: CallRouter.Route?
  var metadata = Metadata()
  var deframer: MessageDeframer
  var deadline: UInt64?
  /// Initial metadata to be sent with the first message or the status.
  var replyMetadata = Metadata()
  var headSent = false
  var replyGzip = false
  /// Called once when the call ends before the handler has answered it.
  var onCancel: (() -> Void)?
  var stream: ServerStream?
  private var head = RequestHead()
  private let memo: HeaderMemo
  var timer: LoopTimer?
  private(set) var startedAt: UInt64 = 0
  /// Bytes of the messages of a unary call.
  var requestBytes = 0
  var responseBytes = 0
  var credit = WindowCredit()
  /// A compressed message of this call that is inflated away from the loop.
  var inflating: Inflating?
  /// What came behind it.
  var heldInput: [Bytes] = []
  var heldEnd = false

  /// What the head said, until it is judged.
  private struct RequestHead {
    var path = Bytes()
    var isPost = false
    var contentType = Bytes()
    var encoding: Bytes?
    var timeout: UInt64?
    var badTimeout = false
    /// Fields of metadata so far, while they are the first ones of the request before.
    var sharedFields: Int? = 0
  }

  init(server: GRPCServer, connection: GRPCServerConnection) {
    self.server = server
    loop = connection.loop
    remoteAddress = connection.remoteAddress
    memo = connection.memo
    deframer = MessageDeframer(limit: server.configuration.receivedMessageBytesMax)
  }

  var path: String { route?.path ?? "" }
  var certificate: PeerCertificate? { connection?.channel.peerCertificate }
  var isOpen: Bool { !isFinished && !isClosed }
  var queuedBytes: Int { outbound.queuedBytes }

  func addMetadata(_ name: String, _ value: Bytes) { replyMetadata.add(name, value) }

  var isFinished: Bool { if case .finished = state { true } else { false } }

  // MARK: head

  override func header(_ name: OpaquePointer, _ value: OpaquePointer) -> Int? {
    guard case .head = state else { return headerSize(name, value) }
    guard let known = memo.find(name, value) else {
      return decode(name, value) ? headerSize(name, value) : nil
    }
    switch known.pointee.meaning {
    case .post: head.isPost = true
    case .grpcContent: head.contentType = Self.contentType
    case .ignored: break
    case .metadata(let field): add(field)
    }
    return known.pointee.size
  }

  /// Adds metadata. As long as it is what the request before brought, nothing is built.
  private func add(_ field: Metadata.Field) {
    if let shared = head.sharedFields {
      let last = memo.lastMetadata.fields
      if shared < last.count, last[shared].isIdentical(to: field) {
        head.sharedFields = shared + 1
        return
      }
      shareMetadata(shared)
      head.sharedFields = nil
    }
    metadata.append(field)
  }

  /// Takes the first fields of the request before.
  private func shareMetadata(_ count: Int) {
    metadata = memo.lastMetadata
    if count < metadata.fields.count { metadata.keepFirst(count) }
  }

  /// A field that is not remembered by address.
  private func decode(_ name: OpaquePointer, _ value: OpaquePointer) -> Bool {
    let nameBytes = bytes(of: name)
    let kind = ReservedHeader(nameBytes)
    if kind == .path {
      // Some clients never index it, so its address says nothing.
      route = memo.route(bytes(of: value), server.router)
      if route == nil { head.path = Bytes(copying: UnsafeRawBufferPointer(bytes(of: value))) }
      return true
    }
    if kind == .unindexed { return true }
    let content = Bytes(copying: UnsafeRawBufferPointer(bytes(of: value)))
    switch kind {
    case .path, .unindexed: break
    case .method:
      head.isPost = content == "POST"
      if head.isPost { memo.remember(name, value, .post) }
    case .contentType:
      head.contentType = content
      if content == Self.contentType { memo.remember(name, value, .grpcContent) }
    case .encoding: head.encoding = content
    case .timeout:
      head.timeout = TimeoutCoding.decode(bytes(of: value))
      head.badTimeout = head.timeout == nil
    case .ignored: memo.remember(name, value, .ignored)
    case .metadata:
      let key = Bytes(copying: UnsafeRawBufferPointer(nameBytes))
      guard let plain = Metadata.isBinary(key) ? Metadata.decodeBinary(content) : content else {
        return false
      }
      let field = Metadata.Field(name: key, value: plain)
      memo.remember(name, value, .metadata(field))
      add(field)
    }
    return true
  }

  private static let contentType: Bytes = "application/grpc"

  override func headersEnded() {
    guard case .head = state else { return }
    if let shared = head.sharedFields {
      shareMetadata(shared)
    } else {
      memo.lastMetadata = metadata
    }
    startedAt = loop.now
    guard head.isPost else {
      refuse(405, GRPCStatus(.internal, "received a :method that should be POST"))
      return
    }
    guard Self.isGRPC(head.contentType) else {
      let text = "invalid gRPC request content-type \"\(head.contentType.string)\""
      refuse(415, GRPCStatus(.invalidArgument, text))
      return
    }
    guard !head.badTimeout else {
      refuse(400, GRPCStatus(.internal, "malformed grpc-timeout"))
      return
    }
    if let encoding = head.encoding, encoding != "identity" {
      guard encoding == "gzip", server.configuration.acceptsGzip else {
        let text = "grpc: Decompressor is not installed for grpc-encoding \"\(encoding.string)\""
        refuse(200, GRPCStatus(.unimplemented, text))
        return
      }
      deframer.coding = .gzip
      replyGzip = true
    }
    guard let route else {
      refuse(200, server.router.missing(head.path.string))
      return
    }
    self.route = route
    route.counters?.started.add()
    if let observer = server.configuration.callObserver { observer(metadata, route.isUnary) }
    if let refusal = server.router.refusal(metadata) { return refuse(200, refusal) }
    if let timeout = head.timeout { deadline = loop.now &+ timeout }
    begin(route)
  }

  private func begin(_ route: CallRouter.Route) {
    switch route.handler {
    case .unary(let handler): state = .collecting(handler)
    case .stream(let handler):
      state = .streaming
      let stream = ServerStream(self)
      self.stream = stream
      armDeadline()
      stream.start(handler)
    }
  }

  /// `application/grpc` alone or with a subtype or parameters.
  static func isGRPC(_ type: Bytes) -> Bool {
    let base = contentType
    if type == base { return true }
    guard type.count >= base.count else { return false }
    guard type.hasPrefix(base) || type[0..<base.count].string.lowercased() == base.string else {
      return false
    }
    return type.count == base.count || type[base.count] == 0x2b || type[base.count] == 0x3b
  }

  func armDeadline() {
    guard let deadline, timer == nil else { return }
    let left = deadline > loop.now ? deadline - loop.now : 0
    timer = loop.schedule(after: .nanoseconds(Int64(clamping: left))) { [weak self] in
      self?.cancelled(.deadlineExceeded)
    }
  }

  // MARK: the connection's side

  override func data(_ bytes: Bytes) { take(bytes) }

  override func inputEnded() {
    if inflating == nil { endInput() } else { heldEnd = true }
  }

  override func outboundProgressed() { stream?.outboundProgressed() }

  override func closed(_ errorCode: UInt32) {
    dropInput()
    if case .head = state { return }
    if case .refused = state { return }
    if isFinished {
      stream?.cancel(.cancelled)
    } else {
      cancelled(.cancelled)
    }
    timer?.cancel()
  }
}
