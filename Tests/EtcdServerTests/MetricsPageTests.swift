import Bytes
import EventLoops
import Testing

@testable import EtcdServer

@Suite struct MetricsPageTests {
  /// However many ask, the page is made once in its lifetime.
  @Test func aPageIsMadeOnceInALifetime() {
    let registry = MetricsRegistry()
    let made = Counter()
    registry.gauge("g", "G.") {
      made.add()
      return Double(made.value)
    }
    let page = MetricsPage(registry)
    let first = page.content(at: 1_000, packed: false)
    for step in 0..<1000 {
      let again = page.content(
        at: 1_000 + UInt64(step) * MetricsPage.lifetime / 1000, packed: step % 2 == 1)
      #expect(again.isPacked == (step % 2 == 1))
      if !again.isPacked { #expect(again.content == first.content) }
    }
    #expect(made.value == 1)
    let next = page.content(at: 1_000 + MetricsPage.lifetime, packed: false)
    #expect(made.value == 2)
    #expect(next.content != first.content)
  }
}
