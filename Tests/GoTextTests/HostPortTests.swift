import Testing

@testable import GoText

@Suite struct HostPortTests {
  @Test func addressesAreTold() {
    for text in ["::1", "fe80::1", "1:2:3:4:5:6:7:8", "::ffff:1.2.3.4", "::"] {
      #expect(HostPort.isIPv6(text), "\(text)")
    }
    for text in ["", ":", "1::2::3", "12345::", "g::", "1:2:3", "1:2:3:4:5:6:7:8:9", ":::"] {
      #expect(!HostPort.isIPv6(text), "\(text)")
    }
    #expect(HostPort.isIPv4("127.0.0.1"))
    for text in ["256.0.0.1", "1.2.3", "01.2.3.4", "a.b.c.d", "1.2.3.4.5"] {
      #expect(!HostPort.isIPv4(text), "\(text)")
    }
    #expect(HostPort("[::1]:80")?.host == "::1")
    for text in ["a", "[::1]", "::1:80", "[a:80", "a:80]", ""] { #expect(HostPort(text) == nil) }
  }
}
