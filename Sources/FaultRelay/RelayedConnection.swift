import Bytes
import EventLoops

/// A connection through the relay: two sockets, and a delay line each way. Confined to its loop.
final class RelayedConnection {
  /// One of the two ends, and what comes from it.
  private final class End: ByteChannelHandler {
    let channel: any ByteChannel
    /// The way of what it sends.
    let link: Link
    var line = DelayLine()
    var timer: LoopTimer?
    var isPaused = false
    var hasEnded = false
    weak var connection: RelayedConnection?

    init(_ channel: any ByteChannel, _ link: Link) {
      self.channel = channel
      self.link = link
    }

    func channelRead(_ bytes: Bytes) { connection?.read(bytes, from: self) }
    func channelReadEnded() { connection?.ended(self) }
    func channelWritable() { connection?.writable(self) }
    func channelClosed(_ error: ChannelError?) { connection?.closed(self) }
  }

  /// Who dialled, to whom.
  let link: Link
  private let loop: EventLoop
  private let ends: [End]
  private var rules: LinkRules
  private var chance: SystemRandomNumberGenerator = SystemRandomNumberGenerator()
  private let onClosed: (RelayedConnection) -> Void
  private var isClosed = false

  /// - Parameters:
  ///   - dialler: not started yet, as `target` is.
  ///   - onClosed: called once.
  init(
    loop: EventLoop, link: Link, dialler: any ByteChannel, target: any ByteChannel,
    rules: LinkRules, onClosed: @escaping (RelayedConnection) -> Void
  ) {
    self.loop = loop
    self.link = link
    self.rules = rules
    self.onClosed = onClosed
    ends = [End(dialler, link), End(target, link.reversed)]
    for end in ends {
      end.connection = self
      end.channel.handler = end
    }
    for end in ends { end.channel.start() }
    apply(rules)
  }

  private func other(_ end: End) -> End { end === ends[0] ? ends[1] : ends[0] }
  private func rule(_ end: End) -> LinkRule { rules[end.link] ?? LinkRule() }

  /// Other rules hold from now on.
  func apply(_ rules: LinkRules) {
    let before = self.rules
    self.rules = rules
    for end in ends {
      let rule = rule(end)
      // At the end of a cut that lost bytes the stream is torn.
      let isHealed = before[end.link]?.cut == .swallow && rule.cut != .swallow
      if rule.cut == .refuse || (isHealed && end.line.hasLost) { return reset() }
    }
    for end in ends { pump(end) }
  }

  private func read(_ bytes: Bytes, from end: End) {
    let rule = rule(end)
    // The common case costs no queue.
    if rule.isClear && end.line.isEmpty {
      // At once: who gets it wakes up while the rest of the turn is done.
      other(end).channel.writeNow([bytes])
      return regulate(end)
    }
    end.line.add(bytes, rule, now: loop.now) { Double.random(in: 0..<1, using: &chance) }
    if end.line.isDead { return reset() }
    pump(end)
  }

  private func ended(_ end: End) {
    end.line.end(now: loop.now)
    pump(end)
  }

  /// Hands on what may leave.
  private func pump(_ end: End) {
    guard !isClosed else { return }
    let target = other(end).channel
    for release in end.line.take(rule(end), now: loop.now) {
      switch release {
      case .bytes(let bytes): target.write(bytes)
      case .end: target.closeAfterFlush()
      }
    }
    end.timer?.cancel()
    end.timer = nil
    if let due = end.line.nextDue(rule(end)) {
      let delay = due > loop.now ? due - loop.now : 0
      end.timer = loop.schedule(after: .nanoseconds(Int64(clamping: delay))) {
        [weak self, weak end] in
        guard let self, let end else { return }
        end.timer = nil
        pump(end)
      }
    }
    regulate(end)
  }

  /// Reads from an end as long as the other takes it, and no cut holds it.
  private func regulate(_ end: End) {
    let rule = rule(end)
    let isHeld = rule.cut == .hold || end.line.isFull || !other(end).channel.isWritable
    guard isHeld != end.isPaused, !isClosed else { return }
    end.isPaused = isHeld
    if isHeld { end.channel.pauseReading() } else { end.channel.resumeReading() }
  }

  private func writable(_ end: End) { regulate(other(end)) }

  /// An end is gone: the other learns of it by the same way as of bytes.
  private func closed(_ end: End) {
    guard !isClosed, !end.hasEnded else { return }
    end.hasEnded = true
    if other(end).hasEnded { return finish() }
    // Nobody is left to write to: only what it sent before is of interest.
    ended(end)
    if rule(end).cut == nil && end.line.isEmpty { return }
  }

  /// Breaks it: both ends see that at once.
  func reset() {
    guard !isClosed else { return }
    for end in ends { end.channel.reset() }
    finish()
  }

  private func finish() {
    guard !isClosed else { return }
    isClosed = true
    for end in ends {
      end.timer?.cancel()
      end.connection = nil
    }
    onClosed(self)
  }
}
