import CUV
import Platform
import Synchronization

/// How many connections listeners take together, so that a process keeps descriptors for other uses.
///
/// Those beyond the limit wait in the kernel's backlog until one closes. Any thread.
///
/// - Source: etcd's `embed/serve.go`: `netutil.LimitListener` with the limit of the process less 150.
public final class ConnectionAdmission: Sendable {
  /// Connections at once.
  public let limit: Int

  private struct State {
    var open = 0
    var waiting: [@Sendable () -> Void] = []
    var reportedAt: UInt64?
  }
  private let state = Mutex(State())
  private let onLimit: (@Sendable (_ limit: Int) -> Void)?
  private static let reportInterval: UInt64 = 10_000_000_000

  /// - Parameter onLimit: called when a connection has to wait, every ten seconds at most; on any thread.
  public init(limit: Int, onLimit: (@Sendable (_ limit: Int) -> Void)? = nil) {
    self.limit = limit
    self.onLimit = onLimit
  }

  /// Connections that are open.
  public var openCount: Int { state.withLock { $0.open } }

  /// Counts a connection.
  /// - Parameter retry: called once, later, when there is room again; only if there is none.
  /// - Returns: whether there is room.
  func enter(_ retry: @escaping @Sendable () -> Void) -> Bool {
    let (isWelcome, reports) = state.withLock { state -> (Bool, Bool) in
      if state.open < limit {
        state.open += 1
        return (true, false)
      }
      state.waiting.append(retry)
      let now = monotonicNanoseconds()
      if let last = state.reportedAt, now &- last < Self.reportInterval { return (false, false) }
      state.reportedAt = now
      return (false, true)
    }
    if reports { onLimit?(limit) }
    return isWelcome
  }

  /// A connection has closed.
  func leave() {
    let waiting = state.withLock { state in
      state.open -= 1
      defer { state.waiting = [] }
      return state.waiting
    }
    for retry in waiting { retry() }
  }
}

/// Descriptors that the process may have open: the soft limit; `nil` when there is none.
public var descriptorLimit: Int? {
  let limit = cuv_descriptor_limit()
  return limit > Int64.max ? nil : Int(limit)
}

/// A descriptor that is kept to be given up.
struct SpareDescriptor: ~Copyable {
  private var descriptor: Int32 = -1

  init() { acquire() }
  deinit { if descriptor >= 0 { Descriptor.close(descriptor) } }

  var isHeld: Bool { descriptor >= 0 }

  mutating func acquire() {
    // There is one everywhere, also where there is no /dev.
    if descriptor < 0 { descriptor = Descriptor.openToRead("/") }
  }

  mutating func release() {
    if descriptor >= 0 { Descriptor.close(descriptor) }
    descriptor = -1
  }
}
