import Bytes
import EtcdAPI
import EventLoops
import GoText
import HTTP
import Platform

/// Asks a peer every few seconds whether it is there, how far away and what time it has.
/// Confined to the transport's loop.
final class Prober {
  private let peer: Peer
  private let urls: [PeerURL]
  private let name: String
  private let client: HTTPClient
  private var pinned = 0
  private var state = ProbeState()
  private var call: HTTPClientCall?
  private var probeTimer: LoopTimer?
  private var reportTimer: LoopTimer?

  private static let responseBytesMax = 4096

  init(_ peer: Peer, _ urls: [PeerURL], _ name: String, _ client: HTTPClient) {
    self.peer = peer
    self.urls = urls
    self.name = name
    self.client = client
    let limits = peer.context.configuration
    probeTimer = peer.context.loop.schedule(
      after: limits.probeInterval, repeating: limits.probeInterval
    ) { [weak self] in self?.probe() }
    scheduleReport(limits.probeReportErrorInterval)
  }

  func stop() {
    probeTimer?.cancel()
    reportTimer?.cancel()
    probeTimer = nil
    reportTimer = nil
    let last = call
    call = nil
    last?.cancel()
  }

  private func probe() {
    guard call == nil, probeTimer != nil else { return }
    let context = peer.context
    var request = HTTPClientRequest("GET", urls[pinned].origin, "/raft/probing")
    request.connectTimeout = context.configuration.dialTimeout
    request.headTimeout = context.configuration.readTimeout
    request.idleTimeout = context.configuration.readTimeout
    let start = context.loop.now
    var isOver = false
    let started = client.send(request, limit: Self.responseBytesMax) { [weak self] result in
      isOver = true
      guard let self, probeTimer != nil else { return }
      call = nil
      finished(result, since: start)
    }
    if !isOver { call = started }
  }

  private func finished(
    _ result: Result<(head: HTTPResponseHead, body: Bytes), HTTPClientError>, since start: UInt64
  ) {
    do {
      let answer = try result.get()
      guard answer.head.status == 200, let remote = ProbeAnswer.time(answer.body) else {
        throw ProbeAnswer.Unhealthy()
      }
      state.succeeded(
        roundTrip: peer.context.loop.now &- start, remoteTime: remote,
        localTime: WallClock.nanoseconds)
    } catch {
      state.failed("\(error)")
      pinned = (pinned + 1) % urls.count
    }
  }

  private func scheduleReport(_ delay: Duration) {
    reportTimer = peer.context.loop.schedule(after: delay) { [weak self] in self?.report() }
  }

  private func report() {
    guard probeTimer != nil else { return }
    let context = peer.context
    let roundTrip = Duration.nanoseconds(state.roundTrip)
    var fields: [LogField] = [
      LogField("round-tripper-name", .string(name)), .id("remote-peer-id", peer.id),
    ]
    var end: [LogField] = [LogField("rtt", .duration(roundTrip))]
    if let error = state.error { end.append(.error(error)) }
    if !state.isHealthy {
      context.logger.warn("prober detected unhealthy status", fields + end)
    }
    if state.clockDifference.magnitude > 1_000_000_000 {
      fields.append(
        LogField("clock-drift", .duration(.nanoseconds(state.clockDifference))))
      context.logger.warn("prober found high clock drift", fields + end)
    }
    peer.metrics.roundTrip.observe(roundTrip)
    let limits = context.configuration
    scheduleReport(state.isHealthy ? limits.probeReportInterval : limits.probeReportErrorInterval)
  }
}

/// What the probes of one peer found. Pure.
struct ProbeState: Sendable, Equatable {
  private(set) var isHealthy = false
  /// Smoothed, nanoseconds.
  private(set) var roundTrip: Int64 = 0
  /// Local less remote wall clock, nanoseconds.
  private(set) var clockDifference: Int64 = 0
  private(set) var error: String?

  /// - Parameter roundTrip: nanoseconds.
  mutating func succeeded(roundTrip sample: UInt64, remoteTime: Int64, localTime: Int64) {
    let sample = Int64(clamping: sample)
    // checked: neither is negative
    roundTrip = roundTrip == 0 ? sample : roundTrip + (sample - roundTrip) / 8
    // The peer says its time, and this clock may stand before 1970: what 64 bits do not hold is far enough.
    let (difference, isFar) = localTime.subtractingReportingOverflow(remoteTime)
    let (behind, isFarther) = difference.subtractingReportingOverflow(roundTrip / 2)
    clockDifference = isFar || isFarther ? .min : behind
    isHealthy = true
    error = nil
  }

  mutating func failed(_ reason: String) {
    isHealthy = false
    error = reason
  }
}

/// `{"OK":true,"Now":"2006-01-02T15:04:05.999999999Z"}`.
enum ProbeAnswer {
  struct Unhealthy: Error, CustomStringConvertible {
    let description = "unhealthy"
  }

  static func body(_ time: Int64) -> Bytes {
    let text = CivilTime(nanosecondsSinceEpoch: time).rfc3339(fraction: .shortest)
    return Bytes("{\"OK\":true,\"Now\":\"\(text)\"}\n")
  }

  /// The peer's time; `nil` when it is not well or the answer is malformed.
  static func time(_ body: Bytes) -> Int64? {
    let text = body.string.filter { !$0.isWhitespace }
    guard text.holds("\"OK\":true"), let key = text.place(of: "\"Now\":\"") else { return nil }
    let time = CivilTime(rfc3339: String(text[key.upperBound...].prefix { $0 != "\"" }))
    guard let nanoseconds = time?.nanosecondsSinceEpoch, nanoseconds >= 0 else { return nil }
    return nanoseconds
  }
}
