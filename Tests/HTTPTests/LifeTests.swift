import Testing

@testable import HTTP

/// The states of a connection, without a connection.
@Suite struct LifeTests {
  private func life() -> HTTP1Life { HTTP1Life(discardedBytesMax: 100) }

  private func begun(
    hasBody: Bool = false, owesContinue: Bool = false, keepsAlive: Bool = true
  ) -> HTTP1Life {
    var life = life()
    life.began(hasBody: hasBody, owesContinue: owesContinue, keepsAlive: keepsAlive)
    return life
  }

  @Test func requestsFollowEachOther() {
    var life = life()
    for _ in 0..<3 {
      #expect(life.want == .head)
      life.began(hasBody: false, owesContinue: false, keepsAlive: true)
      #expect(life.want == .nothing)
      life.answerBegan(endsByClosing: false)
      #expect(life.answered(wantsRest: false) == .head)
    }
    life.began(hasBody: false, owesContinue: false, keepsAlive: false)
    life.answerBegan(endsByClosing: false)
    #expect(life.answered(wantsRest: false) == .close)
    #expect(life.want == .nothing && life.state == .closing)
  }

  @Test func aBodyIsReadWhenItIsWanted() {
    var life = begun(hasBody: true, owesContinue: true)
    #expect(life.want == .nothing)
    #expect(life.bodyWanted() == .read(sendContinue: true))
    #expect(life.want == .body)
    #expect(life.bodyPaused(true) == true)
    #expect(life.bodyPaused(true) == false)
    #expect(life.want == .nothing && life.isBodyPaused)
    #expect(life.bodyPaused(false) == true)
    #expect(life.bodyPiece(1_000) == .deliver)
    #expect(life.bodyRead() == .wait)
    #expect(life.answered(wantsRest: false) == .head)
  }

  @Test func anAnswerBeforeTheBodyIsReadSkipsTheRest() {
    var life = begun(hasBody: true)
    life.answerBegan(endsByClosing: false)
    #expect(life.answered(wantsRest: false) == .skipBody)
    #expect(life.want == .body)
    #expect(life.bodyPiece(100) == .skip)
    #expect(life.bodyRead() == .head)

    life = begun(hasBody: true)
    #expect(life.answered(wantsRest: false) == .skipBody)
    #expect(life.bodyPiece(60) == .skip)
    #expect(life.bodyPiece(41) == .giveUp)
    #expect(life.state == .closing)
  }

  @Test func aReaderThatStillWantsTheRestGetsIt() {
    var life = begun(hasBody: true)
    #expect(life.bodyWanted() == .read(sendContinue: false))
    #expect(life.answered(wantsRest: true) == .wait)
    #expect(life.bodyPiece(1_000) == .deliver)
    #expect(life.bodyRead() == .head)
  }

  @Test func whoWaitsFor100AndIsRefusedIsDisconnected() {
    var life = begun(hasBody: true, owesContinue: true)
    life.answerBegan(endsByClosing: false)
    #expect(life.isLast)
    #expect(life.answered(wantsRest: false) == .close)
  }

  @Test func aLostBodyEndsTheConnectionAfterItsAnswer() {
    var life = begun(hasBody: true)
    #expect(life.malformed() == true)
    #expect(life.bodyFailed() == .wait)
    #expect(life.want == .nothing)
    // Whoever asks for it now is not told of an empty body.
    #expect(life.bodyWanted() == .isLost)
    #expect(life.answered(wantsRest: false) == .close)

    life = begun(hasBody: true)
    #expect(life.answered(wantsRest: false) == .skipBody)
    #expect(life.bodyFailed() == .close)
  }

  @Test func theEndOfInput() {
    var life = life()
    #expect(life.endInput(hasInput: false) == .close)
    life = self.life()
    #expect(life.endInput(hasInput: true) == .goOn)
    #expect(!life.isExhausted(hasInput: true) && life.isExhausted(hasInput: false))
    life = begun()
    #expect(life.endInput(hasInput: false) == .tell)
    #expect(life.answered(wantsRest: false) == .head)
    #expect(life.isExhausted(hasInput: false))
    life = begun(hasBody: true)
    #expect(life.endInput(hasInput: false) == .cutBody)
  }

  @Test func deadlines() {
    var life = life()
    #expect(life.deadlinePassed(isIdle: true) == .close)
    life = self.life()
    #expect(life.deadlinePassed(isIdle: false) == .refuse)
    life = begun()
    #expect(life.deadlinePassed(isIdle: true) == .nothing)
    life = begun(hasBody: true)
    #expect(life.deadlinePassed(isIdle: true) == .failBody)
    life = begun(hasBody: true)
    life.answerBegan(endsByClosing: false)
    #expect(life.deadlinePassed(isIdle: true) == .abort)
    life = begun(hasBody: true)
    #expect(life.answered(wantsRest: false) == .skipBody)
    #expect(life.deadlinePassed(isIdle: true) == .close)
  }

  @Test func drains() {
    var life = life()
    #expect(life.drain(isIdle: true) == true)
    #expect(life.state == .closing)
    life = begun()
    #expect(life.drain(isIdle: true) == false)
    #expect(life.answered(wantsRest: false) == .close)
    // A head under way is served, as the last.
    life = self.life()
    #expect(life.drain(isIdle: false) == false)
    #expect(life.want == .head)
    life.began(hasBody: false, owesContinue: false, keepsAlive: true)
    #expect(life.isLast)
  }

  /// Whatever happens in whatever order: a closed connection wants nothing and never opens again.
  @Test func anyOrderOfEventsEnds() {
    var random = SystemRandomNumberGenerator()
    var closings = 0
    for _ in 0..<3_000 {
      var life = life()
      for _ in 0..<12 {
        let wasOver = life.state == .closing || life.state == .closed
        switch Int.random(in: 0..<11, using: &random) {
        case 0: life.began(hasBody: .random(), owesContinue: .random(), keepsAlive: .random())
        case 1: _ = life.bodyWanted()
        case 2: _ = life.bodyPaused(.random())
        case 3: _ = life.bodyPiece(.random(in: 0...90))
        case 4: _ = life.bodyRead()
        case 5: _ = life.bodyFailed()
        case 6: life.answerBegan(endsByClosing: .random())
        case 7: _ = life.answered(wantsRest: .random())
        case 8: _ = life.endInput(hasInput: .random())
        case 9: _ = life.drain(isIdle: .random())
        default: _ = life.deadlinePassed(isIdle: .random())
        }
        if wasOver {
          #expect(life.want == .nothing)
          #expect(life.state == .closing || life.state == .closed)
        }
      }
      if life.state == .closing { closings += 1 }
      life.closed()
      #expect(life.state == .closed && life.want == .nothing)
    }
    #expect(closings > 500)
  }
}
