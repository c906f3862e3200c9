import Foundation
import TestSupport
import Testing

/// Guide 000, section 6: a proxy in front of three members.
@Suite(.serialized) struct Guide000ProxyTests {
  private static let start = """
    $ etcd \\
    -proxy                  on \\
    -listen-client-urls     http://10.0.0.104:2379,http://127.0.0.1:2379 \\
    -initial-cluster        node1=http://10.0.0.101:2380,\\
                            node2=http://10.0.0.102:2380,\\
                            node3=http://10.0.0.103:2380
    """

  /// As it stands: a shell makes three words of the members, for blanks stand behind the continued lines.
  @Test func theGuidesOwnTextIsRefused() throws {
    let shell = GuideShell([])
    for program in [Binaries.ours, Binaries.go35].compactMap({ $0 }) {
      let proxy = try shell.start(Self.start, program: program)[0]
      proxy.process.waitUntilExit()
      #expect(proxy.process.terminationStatus == 1)
      #expect(
        proxy.log.contains("'node2=http://10.0.0.102:2380,' is not a valid flag"), "\(program)")
    }
  }

  /// The same on one line, in both modes.
  @Test(arguments: ["on", "readonly"]) func membersAreReachedThroughTheProxy(_ mode: String) throws
  {
    let scratch = Scratch()
    let (members, _, cluster) = try V2ProxyProcessTests.members(scratch, 3)
    let ports = freePorts(2)
    let peers = cluster.split(separator: ",").map { $0.drop { $0 != "=" }.dropFirst() }
    let shell = GuideShell(
      [
        ("\\\n                        ", ""), ("-proxy                  on", "-proxy \(mode)"),
        ("10.0.0.104:2379", "127.0.0.1:\(ports[0])"), ("127.0.0.1:2379", "127.0.0.1:\(ports[1])"),
      ] + (0..<3).map { ("http://10.0.0.10\($0 + 1):2380", String(peers[$0])) })
    let proxy = try shell.start(Self.start)[0]
    try proxy.waitFor("successfully notified init daemon")
    for port in ports {
      let url = "http://127.0.0.1:\(port)/v2/keys/k"
      let put = run("/usr/bin/curl", ["-s", "-w", "%{http_code}", "-XPUT", "-d", "value=1", url])
      #expect(mode == "on" ? put.output.contains(#""value":"1""#) : put.output == "501")
      let got = run("/usr/bin/curl", ["-s", "-w", "%{http_code}", url])
      #expect(got.output.hasSuffix(mode == "on" ? "200" : "404"))
    }
    for process in members + [proxy] { process.end() }
  }
}
