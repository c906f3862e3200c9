import Bytes
import EventLoops
import HTTP
import Synchronization

/// `/metrics`: the page is made at most ten times a second, however many ask for it, so that scrapes
/// cannot hold up the loop that serves requests. Any thread.
package final class MetricsPage: Sendable {
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
  private let served: Counter
  private let inFlight: Gauge

  package init(_ registry: MetricsRegistry) {
    self.registry = registry
    func counter(_ code: String) -> Counter {
      registry.counter(
        "promhttp_metric_handler_requests_total", "Total number of scrapes by HTTP status code.",
        ["code": code])
    }
    served = counter("200")
    // As Prometheus' handler shows them; this one has no way to fail.
    _ = counter("500")
    _ = counter("503")
    inFlight = registry.gauge(
      "promhttp_metric_handler_requests_in_flight", "Current number of scrapes being served.")
  }

  package func serve(_ exchange: HTTPExchange) {
    inFlight.add(1)
    defer {
      inFlight.add(-1)
      served.add()
    }
    let (content, isPacked) = content(
      at: exchange.loop.now, packed: exchange.request.headers.acceptsGzip)
    var headers: HTTPHeaders = ["Content-Type": MetricsRegistry.contentType]
    if isPacked { headers.add("Content-Encoding", "gzip") }
    exchange.respond(status: 200, headers: headers, body: content)
  }

  /// The page as of a time on a loop's clock, which is that of the others or some turns behind, and whether it is in the gzip coding.
  func content(at now: UInt64, packed wantsPacked: Bool) -> (content: Bytes, isPacked: Bool) {
    page.withLock { page in
      var current: Page
      if let kept = page, now < kept.madeAt || now - kept.madeAt < Self.lifetime {
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
