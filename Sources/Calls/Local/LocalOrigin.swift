import Bytes
import EventLoops
import Protobuf

/// What calls from within the process have in common. Confined to `loop`.
public class LocalOrigin: CallOrigin, @unchecked Sendable {
  // @unchecked: confined to `loop`, as `end` asserts.

  public let loop: EventLoop
  public let path: String
  public let metadata: Metadata
  public let certificate: PeerCertificate?
  public let remoteAddress: SocketAddress?
  public let deadline: UInt64?
  /// `nil` for calls that are a part of another one, which is counted itself.
  let counters: CallCounters?
  private let startedAt: UInt64
  private var timer: LoopTimer?
  public private(set) var isOpen = true
  /// Called once at the end.
  var onEnd: (() -> Void)?

  init(_ route: CallRouter.Route, _ context: LocalContext, on loop: EventLoop) {
    self.loop = loop
    path = route.path
    metadata = context.caller.metadata
    certificate = context.caller.certificate
    remoteAddress = context.remoteAddress
    deadline = context.deadline
    counters = context.isCounted ? route.counters : nil
    startedAt = loop.now
    counters?.started.add()
  }

  /// Nobody within the process looks at it.
  public func addMetadata(_ name: String, _ value: Bytes) {}

  /// Calls `late` when the deadline passes before the end.
  func armDeadline(_ late: @escaping () -> Void) {
    guard let deadline, isOpen else { return }
    let left = deadline > loop.now ? deadline - loop.now : 0
    timer = loop.schedule(after: .nanoseconds(Int64(clamping: left)), late)
  }

  /// Ends the call. - Returns: false when it had ended before.
  func end(_ status: GRPCStatus) -> Bool {
    loop.preconditionCurrent()
    guard isOpen else { return false }
    isOpen = false
    timer?.cancel()
    timer = nil
    if let counters {
      counters.handled[status.code.rawValue].add()
      counters.seconds?.observe(Double(loop.now &- startedAt) / 1e9)
    }
    if let onEnd {
      self.onEnd = nil
      // The caller is told first.
      let told = LoopConfined(onEnd)
      loop.execute { told.value() }
    }
    return true
  }

  func countReceived(_ bytes: Int) {
    counters?.received.add()
    counters?.receivedBytes.add(bytes)
  }

  func countSent(_ bytes: Int) {
    counters?.sent.add()
    counters?.sentBytes.add(bytes)
  }
}

/// Who makes a call within the process, and how.
public struct LocalContext: Sendable {
  public var caller: Caller
  /// The other side's address, when there is one behind the call.
  public var remoteAddress: SocketAddress?
  /// When to stop waiting, in the loop's monotonic nanoseconds.
  public var deadline: UInt64?
  /// Whether the call counts as one of a client.
  public var isCounted: Bool

  public init(
    caller: Caller, remoteAddress: SocketAddress? = nil, deadline: UInt64? = nil,
    isCounted: Bool = false
  ) {
    self.caller = caller
    self.remoteAddress = remoteAddress
    self.deadline = deadline
    self.isCounted = isCounted
  }
}
