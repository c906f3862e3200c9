/// The life of one HTTP/1 server connection: which part of which message is due, and what becomes of the
/// connection. Pure; `HTTP1ServerConnection` tells it what happens and does what it answers.
///
/// ```
///          head parsed                      answered and body read, kept alive
///   head ──────────────▶ exchange(body, response) ──────────────────────────▶ head
///     │                     │ answered, and the last one, or body given up
///     │ refused, idle for   ▼
///     └──── too long ───▶ closing ──▶ closed
/// ```
struct HTTP1Life {
  /// The request's body.
  enum Body: Equatable {
    /// Read whole, or there was none.
    case done
    /// Cut off, malformed or too slow.
    case lost
    /// Nobody has asked for it; whether the client waits for 100 Continue.
    case offered(owesContinue: Bool)
    /// On its way to the handler.
    case delivered(isPaused: Bool)
    /// Skipped after the answer: bytes so far.
    case skipped(Int)

    var isOver: Bool { self == .done || self == .lost }
  }

  enum Response: Equatable { case none, streaming, finished }

  struct Exchange: Equatable {
    var body: Body
    var response = Response.none
  }

  enum State: Equatable {
    /// Between requests, or inside a head.
    case head
    case exchange(Exchange)
    /// Nothing more is said or heard; what was written leaves.
    case closing
    case closed
  }

  private(set) var state = State.head
  /// Whether no further request follows the one that is served, or whose head is on its way.
  private(set) var isLast = false
  /// Whether the client has sent all it will.
  private(set) var inputEnded = false
  private let discardedBytesMax: Int

  /// - Parameter discardedBytesMax: bytes of an unwanted body that are skipped to keep the connection.
  init(discardedBytesMax: Int) { self.discardedBytesMax = discardedBytesMax }

  // MARK: input

  /// What input is good for at the moment.
  enum Want: Equatable { case head, body, nothing }

  var want: Want {
    switch state {
    case .head: .head
    case .exchange(let exchange):
      switch exchange.body {
      case .delivered(isPaused: false), .skipped: .body
      case .delivered(isPaused: true), .offered, .done, .lost: .nothing
      }
    case .closing, .closed: .nothing
    }
  }

  /// A request's head was read.
  mutating func began(hasBody: Bool, owesContinue: Bool, keepsAlive: Bool) {
    guard case .head = state else { return }
    if !keepsAlive { isLast = true }
    state = .exchange(Exchange(body: hasBody ? .offered(owesContinue: owesContinue) : .done))
  }

  /// What the handler's wish for the body leads to.
  enum BodyStart: Equatable {
    case isOver, isLost
    case read(sendContinue: Bool)
  }

  mutating func bodyWanted() -> BodyStart {
    guard case .exchange(var exchange) = state else { return .isLost }
    guard case .offered(let owesContinue) = exchange.body else {
      return exchange.body == .lost ? .isLost : .isOver
    }
    exchange.body = .delivered(isPaused: false)
    state = .exchange(exchange)
    return .read(sendContinue: owesContinue)
  }

  var isBodyPaused: Bool {
    guard case .exchange(let exchange) = state else { return false }
    return exchange.body == .delivered(isPaused: true)
  }

  /// - Returns: whether that changes anything.
  mutating func bodyPaused(_ isPaused: Bool) -> Bool {
    guard case .exchange(var exchange) = state, case .delivered(let before) = exchange.body,
      before != isPaused
    else { return false }
    exchange.body = .delivered(isPaused: isPaused)
    state = .exchange(exchange)
    return true
  }

  /// What becomes of a piece of the body.
  enum Piece: Equatable { case deliver, skip, giveUp }

  mutating func bodyPiece(_ count: Int) -> Piece {
    guard case .exchange(var exchange) = state else { return .skip }
    guard case .skipped(let before) = exchange.body else { return .deliver }
    guard before + count <= discardedBytesMax else {
      close()
      return .giveUp
    }
    exchange.body = .skipped(before + count)
    state = .exchange(exchange)
    return .skip
  }

  /// What follows the end of a body or of an answer.
  enum Next: Equatable {
    /// The other half is still under way.
    case wait
    /// The rest of the body is skipped.
    case skipBody
    /// The next request.
    case head
    case close
  }

  /// The body was read whole.
  mutating func bodyRead() -> Next {
    guard case .exchange(var exchange) = state else { return .wait }
    exchange.body = .done
    state = .exchange(exchange)
    return exchange.response == .finished ? next() : .wait
  }

  /// The body will not come whole: nothing that follows can be told from it.
  /// - Returns: `close` when the answer was complete.
  mutating func bodyFailed() -> Next {
    guard case .exchange(var exchange) = state else { return .wait }
    isLast = true
    exchange.body = .lost
    state = .exchange(exchange)
    return exchange.response == .finished ? next() : .wait
  }

  /// Whether no further request can come.
  /// - Parameter hasInput: whether input waits that was not looked at.
  func isExhausted(hasInput: Bool) -> Bool { state == .head && inputEnded && !hasInput }

  /// What the end of the client's input leads to.
  enum InputEnd: Equatable {
    /// Requests that came before are still to be served.
    case goOn
    /// The body is cut off.
    case cutBody
    /// The handler is told.
    case tell
    case close
  }

  /// - Parameter hasInput: whether input waits that was not looked at.
  mutating func endInput(hasInput: Bool) -> InputEnd {
    inputEnded = true
    switch state {
    case .head:
      if hasInput { return .goOn }
      close()
      return .close
    case .exchange(let exchange):
      return exchange.body.isOver ? .tell : .cutBody
    case .closing, .closed: return .goOn
    }
  }

  // MARK: answers

  /// An answer begins.
  /// - Parameter endsByClosing: only the end of the connection ends its body.
  mutating func answerBegan(endsByClosing: Bool) {
    guard case .exchange(var exchange) = state else { return }
    // Who waits for 100 and was refused may or may not send the body.
    if endsByClosing || exchange.body == .offered(owesContinue: true) { isLast = true }
    exchange.response = .streaming
    state = .exchange(exchange)
  }

  /// An answer is complete.
  /// - Parameter wantsRest: whether the handler has a use for what is left of the body.
  mutating func answered(wantsRest: Bool) -> Next {
    guard case .exchange(var exchange) = state else { return .wait }
    exchange.response = .finished
    switch exchange.body {
    case .done, .lost: return next()
    case .delivered where wantsRest:
      state = .exchange(exchange)
      return .wait
    case .offered, .delivered, .skipped:
      guard !isLast && !inputEnded else {
        close()
        return .close
      }
      exchange.body = .skipped(0)
      state = .exchange(exchange)
      return .skipBody
    }
  }

  private mutating func next() -> Next {
    guard !isLast else {
      close()
      return .close
    }
    state = .head
    return .head
  }

  /// The connection belongs to the exchange from here on: whatever comes is its body, whatever is written its
  /// answer, and nothing follows.
  mutating func upgraded() {
    guard case .exchange(var exchange) = state else { return }
    isLast = true
    exchange.body = .delivered(isPaused: false)
    exchange.response = .streaming
    state = .exchange(exchange)
  }

  // MARK: ends

  /// No further request after the current one; a head that is under way is served, as the last.
  /// - Parameter isIdle: no byte of a request has come.
  /// - Returns: whether the connection closes now.
  mutating func drain(isIdle: Bool) -> Bool {
    switch state {
    case .head where isIdle:
      close()
      return true
    case .head, .exchange: isLast = true
    case .closing, .closed: break
    }
    return false
  }

  /// What a deadline that passed leads to.
  enum Timeout: Equatable {
    case nothing
    /// Nobody has asked anything.
    case close
    /// 408.
    case refuse
    /// The body is too slow: the handler answers.
    case failBody
    /// The answer has begun, and cannot say that the body failed.
    case abort
  }

  /// - Parameter isIdle: no byte of a request has come.
  mutating func deadlinePassed(isIdle: Bool) -> Timeout {
    switch state {
    case .head:
      close()
      return isIdle ? .close : .refuse
    case .exchange(let exchange):
      guard !exchange.body.isOver else { return .nothing }
      isLast = true
      switch exchange.response {
      case .none: return .failBody
      case .streaming: return .abort
      case .finished:
        close()
        return .close
      }
    case .closing, .closed: return .nothing
    }
  }

  /// The input is no HTTP. In a body the handler is told, elsewhere the connection says so and closes.
  /// - Returns: whether it is a body that is malformed.
  mutating func malformed() -> Bool {
    if case .exchange(let exchange) = state, !exchange.body.isOver { return true }
    close()
    return false
  }

  /// Nothing more is said.
  mutating func close() {
    isLast = true
    if state != .closed { state = .closing }
  }

  /// The channel has gone.
  mutating func closed() { state = .closed }
}
