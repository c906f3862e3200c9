import Bytes
import EventLoops
import GoText
import Synchronization
import Testing

@Suite struct LogAndMetricsTests {
  private func lines(
    _ encoding: LogEncoding, level: LogLevel = .info, _ body: (Logger) -> Void
  ) -> [String] {
    let seen = Mutex<[String]>([])
    let sink: @Sendable (Bytes) -> Void = { bytes in seen.withLock { $0.append(bytes.string) } }
    // The sink outlives this call only inside the logger.
    body(Logger(targets: [.sink(sink)], encoding: encoding, level: level))
    return seen.withLock { $0 }
  }

  @Test func jsonLinesHaveZapKeys() throws {
    let line = try #require(
      lines(.json) { logger in
        logger.named("raft").info(
          "a \"b\"\n",
          [
            .init("n", 1), .init("took", .duration(.microseconds(1234))),
            .init("ok", true), .init("l", .strings(["x", "y"])), .init("f", .double(2.50)),
          ])
      }.first)
    #expect(line.hasPrefix("{\"level\":\"info\",\"ts\":\"20"))
    #expect(
      line.contains(
        "Z\",\"logger\":\"raft\",\"caller\":\"EventLoopsTests/LogAndMetricsTests.swift:"))
    #expect(
      line.hasSuffix(
        "\"msg\":\"a \\\"b\\\"\\n\",\"n\":1,\"took\":\"1.234ms\",\"ok\":true,\"l\":[\"x\",\"y\"],"
          + "\"f\":2.5}\n"))
  }

  @Test func textsFromOutsideAreCut() {
    #expect(LogText.shortened("root") == "root")
    let long = LogText.shortened(String(repeating: "ä", count: 10_000))
    #expect(long.utf8.count < 160 && long.hasSuffix("… (20000 bytes)"))
  }

  @Test func disabledLevelsEvaluateNothing() {
    var evaluated = 0
    func text() -> String {
      evaluated += 1
      return ""
    }
    let written = lines(.console, level: .warn) { logger in
      logger.info(text())
      logger.warn(text(), [.init("k", "v")])
      logger.level = .error
      logger.warn(text())
    }
    #expect(evaluated == 1)
    #expect(written.count == 1 && written[0].hasSuffix("\t{\"k\":\"v\"}\n"))
  }

  /// Expected texts come from Go's strconv.FormatFloat(v, 'g', -1, 64).
  @Test(arguments: [
    (0, "0"), (1, "1"), (0.5, "0.5"), (1e6, "1e+06"), (8192, "8192"), (123_456, "123456"),
    (1_234_567, "1.234567e+06"), (1e20, "1e+20"), (0.0001, "0.0001"), (0.00001, "1e-05"),
    (1.5e-7, "1.5e-07"), (100_000, "100000"), (12_345_678.5, "1.23456785e+07"), (-2.5, "-2.5"),
    (Double.infinity, "+Inf"),
  ])
  func floatsReadAsInGo(_ value: Double, _ text: String) {
    #expect(FloatText.general(value) == text)
  }

  @Test func expositionIsPrometheusText() {
    let registry = MetricsRegistry()
    registry.counter("b_total", "B.", ["z": "1", "a": "q\"\\\n"]).add(3)
    #expect(registry.counter("b_total", "B.", ["a": "q\"\\\n", "z": "1"]).value == 3)
    let others = registry.counters("b_total", "B.", ["z": "1"], by: "a", ["q\"\\\n", "r"])
    #expect(others.map(\.value) == [3, 0])
    let more = registry.counters("b_total", "B.", ["a": "r"], by: "z", ["1", "2"])
    #expect(more[0] === others[1] && more[1] !== others[1])
    registry.gauge("c", "C.") { 1.5 }
    registry.gauge("d", "Absent.") { nil }
    let histogram = registry.histogram("a_seconds", "A.", bounds: [0.1, 1])
    for value in [0.1, 0.5, 7] { histogram.observe(value) }
    #expect(
      registry.exposition().string == """
        # HELP a_seconds A.
        # TYPE a_seconds histogram
        a_seconds_bucket{le="0.1"} 1
        a_seconds_bucket{le="1"} 2
        a_seconds_bucket{le="+Inf"} 3
        a_seconds_sum 7.6
        a_seconds_count 3
        # HELP b_total B.
        # TYPE b_total counter
        b_total{a="q\\"\\\\\\n",z="1"} 3
        b_total{a="r",z="1"} 0
        b_total{a="r",z="2"} 0
        # HELP c C.
        # TYPE c gauge
        c 1.5

        """)
    #expect(Histogram.exponential(start: 1, factor: 2, count: 4) == [1, 2, 4, 8])
  }
}
