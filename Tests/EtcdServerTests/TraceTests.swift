import Bytes
import Testing

@testable import EtcdServer

/// Traces that calls belong to.
@Suite struct TraceTests {
  private static let trace = "0af7651916cd43dd8448eb211c80319c"

  @Test(
    arguments: [
      ("00-\(trace)-b7ad6b7169203331-01", true), ("00-\(trace)-b7ad6b7169203331-00", false),
      ("00-\(trace)-b7ad6b7169203331-03", true), ("01-\(trace)-b7ad6b7169203331-01-more", true),
      ("00-\(trace)-b7ad6b7169203331-01-more", nil), ("ff-\(trace)-b7ad6b7169203331-01", nil),
      ("00-\(trace)-0000000000000000-01", nil),
      ("00-00000000000000000000000000000000-b7ad6b7169203331-01", nil),
      ("00-\(trace.uppercased())-b7ad6b7169203331-01", nil), ("00-\(trace)-b7ad-01", nil),
      ("", nil),
      ("-", nil), ("00-\(trace)-b7ad6b7169203331-0", nil), ("---", nil),
    ] as [(String, Bool?)])
  func parentsAreRead(_ text: String, _ isSampled: Bool?) {
    #expect(TraceParent(text)?.isSampled == isSampled)
  }

  @Test func theRateIsAShareOfTraces() throws {
    let parent = TraceParent("00-\(Self.trace)-b7ad6b7169203331-01")
    let stranger = TraceParent("00-\(Self.trace)-b7ad6b7169203331-00")
    let low = Bytes(Array(repeating: UInt8(0), count: 16))
    let high = Bytes(Array(repeating: UInt8(0xff), count: 16))
    #expect(TraceSampling(rate: 0).records(parent, trace: high))
    #expect(!TraceSampling(rate: 1_000_000).records(stranger, trace: low))
    #expect(!TraceSampling(rate: 0).records(nil, trace: low))
    #expect(TraceSampling(rate: 1).records(nil, trace: low))
    #expect(!TraceSampling(rate: 999_999).records(nil, trace: high))
    #expect(TraceSampling(rate: 1_000_000).records(nil, trace: high))
  }
}
