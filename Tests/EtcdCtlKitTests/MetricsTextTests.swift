import Testing

@testable import EtcdCtlKit

/// Reading what members show at /metrics.
@Suite struct MetricsTextTests {
  private let page = """
    # HELP a_total What it is.
    # TYPE a_total counter
    a_total{code="OK",path="x\\"y\\\\z\\n,}"} 3
    a_total{code="bad"} 4.5e+01 1700000000000
    plain 1.7e3
    broken{code="OK" 1
    broken{code} 1
    broken
    broken{} zwei
    inf +Inf
    d_seconds_bucket{le="0.1"} 10
    d_seconds_bucket{le="1"} 90
    d_seconds_bucket{le="+Inf"} 100
    d_seconds_bucket{op="other",le="0.1"} 0
    d_seconds_bucket{op="other",le="1"} 0
    d_seconds_bucket{op="other",le="+Inf"} 0
    """

  @Test func seriesAreSummed() {
    let metrics = MetricsText(page)
    #expect(metrics.value("a_total") == 48)
    #expect(metrics.value("a_total", ["code": "OK"]) == 3)
    #expect(metrics.value("a_total", ["code": "none"]) == nil)
    #expect(metrics.all("a_total").first?.labels["path"] == "x\"y\\z\n,}")
    #expect(metrics.value("plain") == 1700 && metrics.value("inf") == .infinity)
    #expect(metrics.value("broken") == nil)
    #expect(MetricsText(page) { $0 == "plain" }.value("a_total") == nil)
  }

  @Test func quantilesAreEstimatedWithinABucket() throws {
    let all = try #require(MetricsText(page).distribution("d_seconds"))
    #expect(all.count == 100)
    #expect(all.quantile(0.05) == 0.05 && all.quantile(0.1) == 0.1)
    #expect(abs(try #require(all.quantile(0.5)) - 0.55) < 1e-9)
    // Above the last bound nothing more is known.
    #expect(all.quantile(0.99) == 1)
    #expect(MetricsText(page).distribution("plain") == nil)
    let later = Distribution(buckets: [(0.1, 10), (1, 190), (.infinity, 200)])
    #expect(later.since(all).count == 100 && later.since(all).quantile(0.5) == 0.55)
    // A restarted member counts from the beginning.
    #expect(all.since(later).count == 100 && later.since(nil).count == 200)
    #expect(Distribution(buckets: []).quantile(0.5) == nil)
  }

  @Test func datesOfHeadsAreRead() {
    #expect(MemberPages.seconds("Thu, 01 Jan 1970 00:00:10 GMT") == 10)
    #expect(MemberPages.seconds("Fri, 27 Nov 2026 01:10:47 GMT") == 1_795_741_847)
    for bad in [
      "", "Fri, 27 Nov 2026 01:10:47", "Fri, 27 Foo 2026 01:10:47 GMT", "a b Jan d e GMT",
    ] {
      #expect(MemberPages.seconds(bad) == nil, "\(bad)")
    }
  }
}
