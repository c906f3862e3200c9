import TestSupport
import Testing

@testable import DNS

@Suite struct ServiceRecordTests {
  private static func record(_ target: String, _ priority: UInt16, _ weight: UInt16 = 0)
    -> ServiceRecord
  {
    ServiceRecord(target: target, port: 1, priority: priority, weight: weight)
  }

  @Test func prioritiesComeFirst() {
    var random = SeededGenerator.printed("priorities")
    let records = (0..<50).map { Self.record("t\($0)", UInt16(49 - $0), UInt16($0)) }
    let ordered = ServiceRecord.ordered(records, using: &random)
    #expect(ordered.map(\.priority) == (0..<50).map { UInt16($0) })
  }

  /// RFC 2782: the share of a target is its weight's, and one without weight has a small chance.
  @Test func weightsAreShares() {
    var random = SeededGenerator.printed("weights")
    let records = [
      Self.record("none", 1, 0), Self.record("one", 1, 10), Self.record("three", 1, 30),
    ]
    var first: [String: Int] = [:]
    for _ in 0..<20_000 {
      let ordered = ServiceRecord.ordered(records, using: &random)
      #expect(Set(ordered.map(\.target)).count == 3)
      first[ordered[0].target, default: 0] += 1
    }
    let ratio = Double(first["three"]!) / Double(first["one"]!)
    #expect(ratio > 2.7 && ratio < 3.3, "\(first)")
    #expect((1..<1500).contains(first["none"] ?? 0), "\(first)")
  }

  @Test func manyOfTheHighestWeight() {
    var random = SeededGenerator.printed("many")
    let records = (0..<3000).map { Self.record("t\($0)", 0, UInt16.max) }
    #expect(ServiceRecord.ordered(records, using: &random).count == 3000)
  }

  @Test(arguments: [
    ("etcd1.example.com", true), ("a", true), ("_x._tcp.y", true), ("127.0.0.1", true),
    ("", false), (".", false), ("a..b", false), ("a b", false), ("a/b", false), ("a\\000b", false),
    ("a@b", false), ("-a", false), ("a-", false), (String(repeating: "a", count: 64), false),
    (Array(repeating: "abcdefg", count: 32).joined(separator: "."), false),
  ])
  func names(_ name: String, _ isValid: Bool) { #expect(HostName.isValid(name) == isValid) }
}

@Suite struct ClientEndpointsTests {
  private static func lookup(_ known: [String: [ServiceRecord]]) -> ServiceLookup {
    { name throws(DNSFailure) in
      guard let records = known[name] else {
        throw DNSFailure(name: name, server: "127.0.0.1:53", reason: .notFound)
      }
      return records
    }
  }

  private static let plain = ServiceRecord(target: "a.d", port: 2379, priority: 1, weight: 2)
  private static let secure = ServiceRecord(target: "b.d", port: 2380, priority: 3, weight: 4)

  @Test func secureOnesComeFirst() throws {
    let both = Self.lookup([
      "_etcd-client._tcp.d": [Self.plain], "_etcd-client-ssl._tcp.d": [Self.secure],
    ])
    let found = try ClientEndpoints(domain: "d", suffix: "", lookup: both)
    #expect(found.urls == ["https://b.d:2380", "http://a.d:2379"])
    #expect(found.endpoints.map(\.record) == [Self.secure, Self.plain])
  }

  @Test func aSuffixNamesAnotherService() throws {
    let known = Self.lookup(["_etcd-client-x._tcp.d.": [Self.plain]])
    #expect(
      try ClientEndpoints(domain: "d.", suffix: "x", lookup: known).urls == ["http://a.d:2379"])
  }

  @Test func bothFailuresAreTold() {
    let error = #expect(throws: ClientLookupFailure.self) {
      try ClientEndpoints(domain: "d", suffix: "", lookup: Self.lookup([:]))
    }
    #expect(
      error?.description
        == "dns lookup errors: lookup _etcd-client-ssl._tcp.d on 127.0.0.1:53: no such host"
        + " and lookup _etcd-client._tcp.d on 127.0.0.1:53: no such host")
  }
}
