import Bytes
import EventLoops

/// Limits what the bodies that are collected at the same time take together.
///
/// When there is no room the younger ones wait, unread, and the oldest goes on, if need be in the place of the
/// youngest, which is given up: so one of them always gets to its end. Confined to one loop.
public final class HTTPBodyBudget {
  /// Bytes of all bodies together.
  public let bytesMax: Int
  /// Bytes held at the moment.
  public private(set) var heldBytes = 0
  /// Longest wait for room.
  private let patience: Duration
  /// In the order of their arrival.
  private var bodies: [BodyCollector] = []

  /// - Parameter patience: a body that waits longer for room fails.
  public init(bytesMax: Int, patience: Duration = .seconds(30)) {
    self.bytesMax = bytesMax
    self.patience = patience
  }

  func add(_ body: BodyCollector) { bodies.append(body) }

  /// `body` has taken `count` more bytes.
  func take(_ count: Int, _ body: BodyCollector) {
    heldBytes += count
    body.chargedBytes += count
    while heldBytes > bytesMax {
      guard bodies.first === body else { return body.waitForRoom(patience) }
      guard let youngest = bodies.last else { return }
      youngest.giveUp(.noRoom(limit: bytesMax))
    }
  }

  /// `body` holds nothing any more.
  func remove(_ body: BodyCollector) {
    guard let index = bodies.firstIndex(where: { $0 === body }) else { return }
    bodies.remove(at: index)
    heldBytes -= body.chargedBytes
    // Each takes a piece and may have to wait again.
    for waiting in bodies where heldBytes <= bytesMax { waiting.goOn() }
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
  private let budget: HTTPBodyBudget?
  private var done: ((Result<Bytes, HTTPBodyError>) -> Void)?
  weak var exchange: HTTPExchange?
  /// The budget's.
  var chargedBytes = 0
  private var patience: LoopTimer?
  /// Smaller bodies come all the time.
  private static let notedBytesMin = 1_048_576

  init(
    limit: Int, length: Int? = nil, budget: HTTPBodyBudget? = nil,
    _ done: @escaping (Result<Bytes, HTTPBodyError>) -> Void
  ) {
    self.limit = limit
    self.length = length
    self.budget = budget
    self.done = done
    budget?.add(self)
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
    budget?.take(length == nil ? bytes.count * 2 : bytes.count, self)
  }

  func bodyEnded() { finish(.success(gathered.take()?.finish() ?? first)) }
  func bodyFailed(_ error: HTTPBodyError) { finish(.failure(error)) }

  // MARK: the budget's side

  func waitForRoom(_ time: Duration) {
    guard patience == nil, let exchange else { return }
    exchange.pauseBody()
    patience = exchange.loop.schedule(after: time) { [weak self] in
      guard let self, let budget = self.budget else { return }
      self.giveUp(.noRoom(limit: budget.bytesMax))
    }
  }

  func goOn() {
    guard patience != nil else { return }
    patience?.cancel()
    patience = nil
    exchange?.resumeBody()
  }

  func giveUp(_ error: HTTPBodyError) { finish(.failure(error)) }

  private func finish(_ result: Result<Bytes, HTTPBodyError>) {
    let callback = done
    done = nil
    gathered = nil
    first = Bytes()
    patience?.cancel()
    patience = nil
    if count > Self.notedBytesMin { noteFreedMemory(count) }
    // What failed is free at once; what is complete when its reader has done with it.
    if case .failure = result { budget?.remove(self) }
    callback?(result)
    budget?.remove(self)
  }
}
