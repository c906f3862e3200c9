import EtcdAPI
import EventLoops
import Synchronization

/// Since when each active peer has been active; read by any thread.
final class ActivePeers: Sendable {
  private let since = Mutex<[MemberID: UInt64]>([:])

  func set(_ id: MemberID, _ time: UInt64?) { since.withLock { $0[id] = time } }
  func time(_ id: MemberID) -> UInt64? { since.withLock { $0[id] } }
  var count: Int { since.withLock { $0.count } }
}

/// Whether a peer can be reached. Confined to the transport's loop.
final class PeerStatus {
  private let id: MemberID
  private let logger: Logger
  private let loop: EventLoop
  private let metrics: PeerMetrics
  /// `nil` for a remote, which is not part of the cluster.
  private let active: ActivePeers?
  private(set) var isActive = false

  init(
    id: MemberID, loop: EventLoop, logger: Logger, metrics: PeerMetrics, active: ActivePeers?
  ) {
    self.id = id
    self.loop = loop
    self.logger = logger
    self.metrics = metrics
    self.active = active
  }

  func activate() {
    guard !isActive else { return }
    isActive = true
    logger.info("peer became active", [.id("peer-id", id)])
    active?.set(id, loop.now)
    metrics.activePeers.add(1)
  }

  /// - Parameters:
  ///   - source: what failed, such as a stream's name.
  ///   - action: what it was doing.
  func deactivate(source: String, action: String, reason: String) {
    let text = "failed to \(action) \(id.hex) on \(source) (\(reason))"
    guard isActive else {
      logger.debug(
        "peer deactivated again", [.id("peer-id", id), LogField("error", .string(text))])
      return
    }
    isActive = false
    logger.warn(
      "peer became inactive (message send to peer failed)",
      [.id("peer-id", id), LogField("error", .string(text))])
    active?.set(id, nil)
    metrics.activePeers.add(-1)
    metrics.disconnectedPeers.add()
  }

  /// The peer is gone.
  func close() {
    guard isActive else { return }
    isActive = false
    active?.set(id, nil)
    metrics.activePeers.add(-1)
  }
}

extension LogField {
  /// A member or cluster ID.
  static func id(_ key: String, _ id: MemberID) -> LogField {
    LogField(key, .string(id.hex))
  }
  /// A text whose length a peer chose.
  static func given(_ key: String, _ text: String) -> LogField {
    LogField(key, .string(LogText.shortened(text)))
  }
  static func error(_ error: any Error) -> LogField { LogField("error", .error(error)) }
  static func error(_ text: String) -> LogField { LogField("error", .string(text)) }
}

/// Lets one log line through an interval and counts the others.
struct LogThrottle {
  private var next: UInt64 = 0
  private var skipped = 0
  private static let interval: UInt64 = 1_000_000_000

  /// How many lines were left out since the last one; `nil` when this one is left out too.
  mutating func pass(_ now: UInt64) -> Int? {
    guard now >= next else {
      skipped += 1
      return nil
    }
    next = now &+ Self.interval
    defer { skipped = 0 }
    return skipped
  }
}
