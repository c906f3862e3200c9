import Bytes
import HTTP
import Runtime
import Synchronization

/// `/metrics`: the page is made at most ten times a second, however many ask for it, so that scrapes
/// cannot hold up the loop that serves requests. Any thread.
final class MetricsPage: Sendable {
  /// How long a page is shown, in nanoseconds.
  static let lifetime: UInt64 = 100_000_000

  private struct Page {
    let madeAt: UInt64
    let plain: Bytes
    /// Compressed for those who ask; `nil` until then.
    var packed: Bytes?
  }

  private let registry: MetricsRegistry
  private let page = Mutex<Page?>(nil)

  init(_ registry: MetricsRegistry) { self.registry = registry }

  func serve(_ exchange: HTTPExchange) {
    let (content, isPacked) = content(
      at: exchange.loop.now, packed: exchange.request.headers.acceptsGzip)
    var headers: HTTPHeaders = ["Content-Type": MetricsRegistry.contentType]
    if isPacked { headers.add("Content-Encoding", "gzip") }
    exchange.respond(status: 200, headers: headers, body: content)
  }

  /// The page as of a time on the loop's clock, and whether it is in the gzip coding.
  func content(at now: UInt64, packed wantsPacked: Bool) -> (content: Bytes, isPacked: Bool) {
    page.withLock { page in
      var current: Page
      if let kept = page, now &- kept.madeAt < Self.lifetime {
        current = kept
      } else {
        current = Page(madeAt: now, plain: registry.exposition())
      }
      if wantsPacked && current.packed == nil {
        current.packed = GzipCoding.compress([current.plain])
      }
      page = current
      if wantsPacked, let packed = current.packed { return (packed, true) }
      return (current.plain, false)
    }
  }
}
