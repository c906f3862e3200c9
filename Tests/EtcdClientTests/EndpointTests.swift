import Bytes
import Testing

@testable import EtcdClient

/// Endpoints and ranges of keys as users write them.
@Suite struct EndpointTests {
  @Test func endpointsAreRead() {
    func text(_ endpoint: String) -> String {
      Endpoint.target(endpoint).map { "\($0)" } ?? "none"
    }
    #expect(text("h:1") == text("http://h:1") && text("http://h:1/") == text("h:1"))
    #expect(text("h:1").contains("h") && text("[::1]:2").contains("::1"))
    #expect(text("unix:///tmp/s").contains("/tmp/s") && text("unix://s").contains("s"))
    for bad in ["", "h", "h:", "h:x", "h:70000", "unix:", "http://"] {
      #expect(text(bad) == "none", "\(bad)")
    }
  }

  /// What etcd's TestAuthority and Go's client say.
  @Test func endpointsNameTheirAuthority() {
    for (endpoint, expected, target) in [
      ("localhost:2379", "localhost:2379", "localhost:2379"),
      ("http://127.0.0.1:2379", "127.0.0.1:2379", "127.0.0.1:2379"),
      ("http://localhost:2379/", "localhost:2379", "localhost:2379/"),
      ("[::1]:2379", "[::1]:2379", "[::1]:2379"),
      ("unix:localhost:1", "localhost:1", "localhost:1"),
      ("unix://localhost:1", "localhost:1", "localhost:1"),
      ("unix:///run/etcd/a.sock", "a.sock", "/run/etcd/a.sock"),
      ("unix:dir/a.sock", "a.sock", "dir/a.sock"), ("unix:", ".", ""), ("unix:///", "/", "/"),
    ] {
      #expect(Endpoint.authority(endpoint) == expected, "\(endpoint)")
      #expect(Endpoint.name(endpoint) == target, "\(endpoint)")
    }
  }

  @Test func prefixesEndBehindTheirLastKey() {
    #expect(Bytes("ab").endOfPrefix == Bytes("ac"))
    #expect(Bytes([0x61, 0xff]).endOfPrefix == Bytes("b"))
    #expect(Bytes([0xff, 0xff]).endOfPrefix == Bytes([0]))
  }

  @Test func rangesAreThoseOfTheWire() {
    let key: KeyRange = "k"
    #expect(key == .key("k") && key.end.isEmpty)
    #expect(KeyRange.range("a", "c").end == "c")
    #expect(KeyRange.from("a").end == Bytes([0]) && KeyRange.from(Bytes()).key == Bytes([0]))
    #expect(KeyRange.all == .prefix(Bytes()) && KeyRange.all.end == Bytes([0]))
  }
}
