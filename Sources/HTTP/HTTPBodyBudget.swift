import Bytes
import EventLoops

/// Limits what the bodies that come in at the same time hold in memory together.
///
/// When there is no room the younger ones wait, unread, and the oldest goes on, if need be in the place of the
/// youngest, which is given up: so one of them always gets to its end. Who waits holds what its last read brought
/// besides. What others wait for must keep coming: a body that brings less than 16 KiB a second is given up for
/// them. Confined to one loop.
public final class HTTPBodyBudget {
  /// Bytes of all bodies together.
  public let bytesMax: Int
  /// Bytes held at the moment.
  public private(set) var heldBytes = 0
  /// Longest wait for room.
  fileprivate let patience: Duration
  /// Nanoseconds that may pass without a byte while others wait.
  fileprivate let grace: UInt64
  /// In the order of their arrival.
  private var shares: [HTTPBodyShare] = []

  /// - Parameters:
  ///   - patience: a body that waits longer for room fails.
  ///   - grace: a body that nothing came of for longer makes room when others wait.
  public init(
    bytesMax: Int, patience: Duration = .seconds(30), grace: Duration = .seconds(2)
  ) {
    self.bytesMax = bytesMax
    self.patience = patience
    self.grace = grace.nanoseconds
  }

  /// A share for the body of a request, which is about to be read.
  /// - Parameter giveUp: called at most once, when the body has to end for others, or alone has more than all
  ///   may have; the share has ended then.
  public func join(
    _ exchange: HTTPExchange, giveUp: @escaping (HTTPBodyError) -> Void
  ) -> HTTPBodyShare {
    let share = HTTPBodyShare(self, exchange, giveUp)
    shares.append(share)
    return share
  }

  /// `share` holds `count` more bytes, at once or when there is room.
  fileprivate func take(_ count: Int, _ share: HTTPBodyShare) {
    guard share.heldBytes + share.owedBytes + count <= bytesMax else {
      return share.giveUp(.noRoom(limit: bytesMax))
    }
    share.owedBytes += count
    endSlow(for: share)
    while !share.hasLeft, heldBytes + share.owedBytes > bytesMax {
      guard shares.first(where: { $0.isGathering }) === share,
        let youngest = shares.last(where: { $0.isGathering && $0.heldBytes > 0 }),
        youngest !== share
      else { return share.waitForRoom() }
      youngest.giveUp(.noRoom(limit: bytesMax))
    }
    settle(share)
  }

  /// Counts what `share` brought when there was no room.
  fileprivate func settle(_ share: HTTPBodyShare) {
    // Others that were given up for it may have gone on in its place.
    guard !share.hasLeft else { return }
    heldBytes += share.owedBytes
    share.heldBytes += share.owedBytes
    share.owedBytes = 0
  }

  /// `share` holds nothing any more.
  fileprivate func remove(_ share: HTTPBodyShare) {
    guard let index = shares.firstIndex(where: { $0 === share }) else { return }
    shares.remove(at: index)
    share.hasLeft = true
    heldBytes -= share.heldBytes
    for waiting in shares where waiting.isWaiting && heldBytes + waiting.owedBytes <= bytesMax {
      settle(waiting)
      waiting.goOn()
    }
  }

  /// Gives up others that hold room and come too slowly, until there is room for what `share` brought.
  fileprivate func endSlow(for share: HTTPBodyShare) {
    let now = share.now
    func isInTheWay(_ other: HTTPBodyShare) -> Bool {
      other !== share && other.heldBytes > 0 && other.isTooSlow(now)
    }
    for other in shares where heldBytes + share.owedBytes > bytesMax && isInTheWay(other) {
      other.giveUp(.tooSlow)
    }
  }
}

/// What one body has of a budget, and how quickly it comes. Confined to the budget's loop.
public final class HTTPBodyShare {
  private let budget: HTTPBodyBudget
  private weak var exchange: HTTPExchange?
  private var onGiveUp: ((HTTPBodyError) -> Void)?
  private let loop: EventLoop
  /// Bytes that count for the budget.
  fileprivate var heldBytes = 0
  /// Bytes that came when there was no room, no more than one read brings.
  fileprivate var owedBytes = 0
  fileprivate var hasLeft = false
  /// Whether more may be taken.
  fileprivate private(set) var isGathering = true
  /// Until when what came so far is quick enough: a byte is worth its time at the least speed.
  private var quickUntil: UInt64
  /// Since when this side has kept the body from coming; that time counts for nothing.
  private var stoppedAt: UInt64?
  /// Set while there is no room.
  private var patience: LoopTimer?
  fileprivate var isWaiting: Bool { patience != nil }
  fileprivate var now: UInt64 { loop.now }

  /// Bytes a second that are quick enough on average.
  private static let leastSpeed: UInt64 = 16_384
  /// Between two looks at who is in the way.
  private static let lookInterval: Duration = .milliseconds(500)

  fileprivate init(
    _ budget: HTTPBodyBudget, _ exchange: HTTPExchange, _ giveUp: @escaping (HTTPBodyError) -> Void
  ) {
    self.budget = budget
    self.exchange = exchange
    loop = exchange.loop
    onGiveUp = giveUp
    quickUntil = loop.now &+ budget.grace
  }

  // MARK: the body's side

  /// `count` bytes came.
  public func came(_ count: Int) {
    let now = loop.now
    // More than the grace lasts is not saved up, so nothing is lost by clamping.
    let time = UInt64(clamping: count).multipliedReportingOverflow(by: 1_000_000_000)
    let worth = min(time.overflow ? .max : time.partialValue / Self.leastSpeed, budget.grace)
    quickUntil = min(max(quickUntil, now) &+ worth, now &+ budget.grace)
  }

  /// `count` more bytes are held. The body may be paused for it, or given up before this returns.
  public func take(_ count: Int) { budget.take(count, self) }

  /// Nothing more will be taken; what is held counts until `leave`.
  public func complete() {
    isGathering = false
    budget.settle(self)
    goOn()
  }

  /// Keeps the rest of the body from coming, for other reasons than room.
  public func pauseBody() {
    stopClock()
    exchange?.pauseBody()
  }

  public func resumeBody() {
    startClock()
    exchange?.resumeBody()
  }

  /// The body is there as a whole: it cannot be too slow any more.
  public func bodyEnded() { stopClock() }

  /// Nothing is held any more. Whoever waits for room goes on.
  public func leave() {
    onGiveUp = nil
    patience?.cancel()
    patience = nil
    budget.remove(self)
  }

  /// Whether the body has brought too little lately, by no fault of this side.
  public func isTooSlow(_ now: UInt64) -> Bool { stoppedAt == nil && now > quickUntil }

  private func stopClock() { stoppedAt = stoppedAt ?? loop.now }

  private func startClock() {
    guard let since = stoppedAt else { return }
    stoppedAt = nil
    quickUntil &+= loop.now &- since
  }

  // MARK: the budget's side

  fileprivate func waitForRoom() {
    guard patience == nil, let exchange else { return }
    stopClock()
    exchange.pauseBody()
    let end = loop.now &+ budget.patience.nanoseconds
    let interval = min(Self.lookInterval, budget.patience)
    patience = loop.schedule(after: interval, repeating: interval) { [weak self] in
      self?.lookForRoom(until: end)
    }
  }

  private func lookForRoom(until end: UInt64) {
    if now >= end { return giveUp(.noRoom(limit: budget.bytesMax)) }
    budget.endSlow(for: self)
  }

  fileprivate func goOn() {
    guard let timer = patience else { return }
    timer.cancel()
    patience = nil
    resumeBody()
  }

  fileprivate func giveUp(_ error: HTTPBodyError) {
    let callback = onGiveUp
    onGiveUp = nil
    // Its memory is free before others are told that there is room.
    callback?(error)
    leave()
  }
}

/// Gathers a body up to a limit.
final class BodyCollector: HTTPBodyConsumer {
  private var first = Bytes()
  private var gathered: ByteWriter?
  private var count = 0
  private let limit: Int
  /// What the head announces.
  private let length: Int?
  private var done: ((Result<Bytes, HTTPBodyError>) -> Void)?
  /// What it has of a budget.
  var share: HTTPBodyShare?
  /// Smaller bodies come all the time.
  private static let notedBytesMin = 1_048_576

  init(
    limit: Int, length: Int? = nil, _ done: @escaping (Result<Bytes, HTTPBodyError>) -> Void
  ) {
    self.limit = limit
    self.length = length
    self.done = done
  }

  var wantsRest: Bool { done != nil }

  func bodyData(_ bytes: Bytes) {
    guard done != nil else { return }
    count += bytes.count
    guard count <= limit else {
      finish(.failure(.tooLarge(limit: limit)))
      return
    }
    if count == bytes.count {
      first = bytes
    } else if gathered == nil {
      // Memory of the announced size is not used before it is written; else it doubles as it fills.
      var writer = ByteWriter(capacity: min(limit, length ?? count * 2))
      writer.append(first)
      writer.append(bytes)
      gathered = consume writer
      first = Bytes()
    } else {
      gathered?.append(bytes)
    }
    share?.came(bytes.count)
    share?.take(length == nil ? bytes.count * 2 : bytes.count)
  }

  func bodyEnded() { finish(.success(gathered.take()?.finish() ?? first)) }
  func bodyFailed(_ error: HTTPBodyError) { finish(.failure(error)) }

  func giveUp(_ error: HTTPBodyError) { finish(.failure(error)) }

  private func finish(_ result: Result<Bytes, HTTPBodyError>) {
    let callback = done
    done = nil
    gathered = nil
    first = Bytes()
    if count > Self.notedBytesMin { noteFreedMemory(count) }
    // What failed is free at once; what is complete when its reader has done with it.
    if case .failure = result { share?.leave() }
    callback?(result)
    share?.leave()
  }
}
