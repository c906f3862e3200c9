import Bytes
import EventLoops
import HTTP
import JSON

/// The live watch of one page over the gateway of whichever member answers; it goes on at another one where it
/// was. Confined to its loop.
final class KeyWatch: HTTPResponseHandler {
  /// Between attempts.
  private static let retryDelay: Duration = .seconds(1)
  private static let messageBytesMax = 1 << 20

  private let source: PageSource
  private let onMessage: (KeyPages.Message) -> Void
  private let onNote: (String) -> Void
  private var wanted: PageSubscription.Watch
  private var splitter = KeyWatch.newSplitter()
  private var call: HTTPClientCall?
  private var isEnded = false
  private var retry: LoopTimer?
  private var attempts = 0

  init(
    _ wanted: PageSubscription.Watch, _ source: PageSource,
    onMessage: @escaping (KeyPages.Message) -> Void, onNote: @escaping (String) -> Void
  ) {
    self.wanted = wanted
    self.source = source
    self.onMessage = onMessage
    self.onNote = onNote
    open()
  }

  private static func newSplitter() -> JSONSplitter {
    JSONSplitter(limits: JSONLimits(depth: 32, bytes: messageBytesMax))
  }

  /// Says nothing more.
  func end() {
    isEnded = true
    retry?.cancel()
    call?.cancel()
    call = nil
  }

  /// The first question shows whether the member answers, and has a token ready where one is needed.
  private func open() {
    let members = source.members()
    guard !members.isEmpty else { return again("no member runs") }
    // Not the same one again that has just failed.
    let member = members[attempts % members.count]
    attempts += 1
    source.api.call(KeyPages.probe, [member], timeout: .seconds(2)) { [weak self] result in
      guard let self, !isEnded else { return }
      switch result {
      case .failure(let error): again(error.description)
      case .success:
        splitter = Self.newSplitter()
        call = source.api.stream(KeyPages.watch(wanted), member, self)
        onNote("")
      }
    }
  }

  private func again(_ reason: String) {
    guard !isEnded else { return }
    call?.cancel()
    call = nil
    onNote(reason)
    retry?.cancel()
    retry = source.loop.schedule(after: Self.retryDelay) { [weak self] in self?.open() }
  }

  /// From now on, with what the page reads anew.
  private func restart(_ reason: String) {
    wanted.from = 0
    onMessage(KeyPages.Message(isCompacted: true))
    again(reason)
  }

  func responseHead(_ head: HTTPResponseHead) {
    if head.status != 200 { again("the member answers with status \(head.status)") }
  }

  func responseData(_ bytes: Bytes) {
    guard call != nil else { return }
    splitter.feed(bytes)
    while call != nil {
      let value: Bytes?
      do throws(JSONError) { value = try splitter.next() } catch {
        return restart("a change was larger than \(Self.messageBytesMax) bytes")
      }
      guard let value else { return }
      guard let json = try? JSONValue.parse(value) else { return again("its answer is no JSON") }
      take(KeyPages.message(json))
    }
  }

  private func take(_ message: KeyPages.Message) {
    if message.isCompacted { return restart(message.end ?? "") }
    if message.revision > 0 && !message.changes.isEmpty { wanted.from = message.revision + 1 }
    onMessage(message)
    if let reason = message.end { again(reason) }
  }

  func responseEnded() { if call != nil { again("the member ended the watch") } }
  func responseFailed(_ error: HTTPClientError) {
    if call != nil { again(error.description) }
  }
  func requestWritable() {}
}
