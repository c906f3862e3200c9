import Bytes
import EtcdAPI
import EventLoops
import HTTP
import Member
import TestSupport
import Testing

@testable import PeerTransport

@Suite struct ValueTests {
  @Test func versions() {
    #expect(PeerVersion("3.5.1") == PeerVersion(major: 3, minor: 5))
    #expect(PeerVersion("3.6.0-rc.0+git") == PeerVersion(major: 3, minor: 6))
    #expect(PeerVersion.header(nil) == PeerVersion(major: 2, minor: 0))
    #expect(PeerVersion.header("x") == nil)
    #expect(PeerVersion("3.10.0")! > PeerVersion("3.9.9")!)
    for text in ["", "3", "3.5", "3.5.x", "a.b.c", "3.5.1.2", "-3.5.1", "3..1", "9999999999.1.1"] {
      #expect(PeerVersion(text) == nil, "\(text)")
    }
    #expect(!PeerVersion("2.0.9")!.supportsStreams)
    #expect(PeerVersion("2.1.0")!.supportsStreams)
  }

  @Test func urls() {
    #expect(PeerURL("http://10.0.0.1:2380/")?.text == "http://10.0.0.1:2380")
    guard case .tcp("::1", 2380)? = PeerURL("https://[::1]:2380")?.origin.endpoint else {
      Issue.record("IPv6 URL")
      return
    }
    #expect(PeerURL("https://[::1]:2380")?.origin.scheme == .https)
    guard case .unix("localhost:20")? = PeerURL("unix://localhost:20")?.origin.endpoint else {
      Issue.record("unix URL")
      return
    }
    let wrong = [
      "", "http://", "http://a", "http://:1", "http://a:b", "http://a:65536", "ftp://a:1",
      "http://a:1/x", "a:1", "http://a b:1", "unix://",
    ]
    for text in wrong { #expect(PeerURL(text) == nil, "\(text)") }
    #expect(PeerURL.list([]) == nil)
    #expect(PeerURL.list(["http://a:1", "x"]) == nil)
  }

  @Test func pickerStaysUntilAFailure() {
    let urls = PeerURL.list(["http://a:1", "http://b:2"])!
    var picker = URLPicker(urls)
    picker.unreachable(urls[1])
    #expect(picker.current == urls[0])
    picker.unreachable(urls[0])
    #expect(picker.current == urls[1])
    picker.unreachable(urls[1])
    #expect(picker.current == urls[0])
  }

  @Test func probes() {
    let time: Int64 = 1_136_214_245_120_000_000
    #expect(ProbeAnswer.time(ProbeAnswer.body(time)) == time)
    #expect(ProbeAnswer.time("{\"OK\":false,\"Now\":\"2006-01-02T15:04:05Z\"}") == nil)
    #expect(ProbeAnswer.time("{\"OK\":true}") == nil)
    #expect(ProbeAnswer.time("{\"OK\":true,\"Now\":\"1969-01-02T15:04:05Z\"}") == nil)
    #expect(ProbeAnswer.time("\u{1}") == nil)
    var state = ProbeState()
    #expect(!state.isHealthy)
    state.succeeded(roundTrip: 1000, remoteTime: 0, localTime: 5_000_000_500)
    #expect(state.isHealthy)
    #expect(state.roundTrip == 1000)
    #expect(state.clockDifference == 5_000_000_000)
    state.succeeded(roundTrip: 9000, remoteTime: 0, localTime: 0)
    #expect(state.roundTrip == 2000)
    // A clock before 1970 and an answer from the last moment that 64 bits hold.
    state.succeeded(roundTrip: .max, remoteTime: .max, localTime: -5_000_000_000)
    state.succeeded(roundTrip: .max, remoteTime: .max, localTime: .min)
    #expect(state.isHealthy && state.roundTrip > 1 << 60)
    state.failed("x")
    #expect(!state.isHealthy)
    #expect(state.error == "x")
  }

  @Test func faults() {
    let good = Raftpb.Message(
      type: .app, to: 2, from: 1, index: 4,
      entries: [Raftpb.Entry(index: 5), Raftpb.Entry(index: 6)])
    #expect(MessageCheck.fault(good, local: 2, peer: 1) == nil)
    #expect(MessageCheck.fault(good, local: 3, peer: 1) == .wrongTarget)
    #expect(MessageCheck.fault(good, local: 2, peer: 9) == .wrongSender)
    #expect(MessageCheck.fault(good, local: 2, peer: nil) == nil)
    var gap = good
    gap.index = 3
    #expect(MessageCheck.fault(gap, local: 2, peer: 1) == .notContiguous)
    // Passed on by a member that is no longer leader.
    let forwarded = Raftpb.Message(type: .prop, to: 2, from: 7)
    #expect(MessageCheck.fault(forwarded, local: 2, peer: 1) == nil)
  }

  /// Only who is told that it was removed has been: others refuse with the same status.
  @Test func answersToPosts() {
    func kind(_ status: Int, _ body: String) -> String {
      PeerRequestError.post(status: status, body: body, url: "u").map { "\($0)" } ?? "taken"
    }
    let removed = "the member has been permanently removed from the cluster"
    #expect(kind(204, "") == "taken")
    #expect(kind(403, #"{"message":"cannot process message from removed member"}"#) == removed)
    let other = "unexpected http status Forbidden while posting to \"u\""
    #expect(kind(403, #"{"message":"cannot process message to mismatch member"}"#) == other)
    #expect(kind(403, "") == other)
    #expect(kind(412, "cluster ID mismatch\n") == "cluster ID mismatch")
    #expect(kind(500, "").hasPrefix("unexpected http status"))
  }
}
