import Foundation
import TestSupport
import Testing

/// Proxies of clusters that a discovery service names, beside Go's.
@Suite(.serialized) struct ProxyFallbackTests {
  private func curl(_ words: String...) -> String {
    run("/usr/bin/curl", ["-s", "-m", "10"] + words).output
  }

  /// Who finds the cluster full, and says nothing about advertised URLs, becomes a proxy; so does who asks to be one,
  /// without a place in the service. Guides 000 and 004: members beyond the size of the cluster.
  @Test(.enabled(if: Binaries.go35 != nil), arguments: [true, false])
  func whoComesTooLateBecomesAProxy(_ isOurs: Bool) throws {
    let program = isOurs ? Binaries.ours : try #require(Binaries.go35)
    let service = Cluster([Binaries.ours], extra: ["--enable-v2"])
    try service.start()
    defer { for member in service.members { member.stop() } }
    let url = "\(service.members[0].endpoint)/v2/keys/discovery/token"
    _ = curl("-XPUT", "-d", "value=1", url + "/_config/size")
    let scratch = Scratch()
    let ports = freePorts(5)
    func address(_ at: Int) -> String { "http://127.0.0.1:\(ports[at])" }
    let member = try ServerProcess(
      [
        "--name", "m1", "--data-dir", scratch.path + "/m1", "--enable-v2", "--discovery", url,
        "--listen-client-urls", address(0), "--advertise-client-urls", address(0),
        "--listen-peer-urls", address(1), "--initial-advertise-peer-urls", address(1),
      ], log: scratch.path + "/log1")
    try member.waitFor("ready to serve client requests")
    let late = [
      "--name", "m2", "--data-dir", scratch.path + "/m2", "--discovery", url,
      "--listen-client-urls", address(2), "--listen-peer-urls", address(3),
      "--initial-advertise-peer-urls", address(3),
    ]
    let fallen = try ServerProcess(late, program: program, log: scratch.path + "/log2")
    try fallen.waitFor("successfully notified init daemon")
    #expect(fallen.log.contains(#""msg":"discovery cluster is full, falling back to proxy""#))
    #expect(curl("-XPUT", "-d", "value=1", address(2) + "/v2/keys/k").contains(#""value":"1""#))
    fallen.end()
    #expect(fallen.process.terminationStatus == SIGTERM)
    // Go has opened a member's database there before it asked, so that its second start finds a directory of both kinds.
    if isOurs {
      let again = try ServerProcess(late, program: program, log: scratch.path + "/log3")
      try again.waitFor("successfully notified init daemon")
      #expect(
        again.log.contains(
          "discovery token ignored since the proxy has already been initialized; valid cluster file found"
        ))
      again.end()
    }
    let asked = try ServerProcess(
      [
        "--proxy", "readonly", "--data-dir", scratch.path + "/m3", "--discovery", url,
        "--listen-client-urls", address(4),
      ], program: program, log: scratch.path + "/log4")
    try asked.waitFor("successfully notified init daemon")
    #expect(curl(address(4) + "/v2/keys/k").contains(#""value":"1""#))
    asked.end()
    let entries = curl(url)
    #expect(entries.components(separatedBy: #""value":"m"#).count == 2, "\(entries)")
    member.end()
  }
}
