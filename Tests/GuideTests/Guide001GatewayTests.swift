import Foundation
import TestSupport
import Testing

/// Guide 001, section 5: the gateway.
@Suite(.serialized) struct Guide001GatewayTests {
  private static let start =
    "$ etcd gateway start --endpoints=infra0.example.com,infra1.example.com,infra2.example.com"

  /// §5.4 as it stands: names without ports are no endpoints, for Go as for us, and a line says what to write.
  @Test func endpointsWithoutPortsAreRefused() throws {
    let shell = GuideShell([])
    for program in [Binaries.ours, Binaries.go35].compactMap({ $0 }) {
      let gateway = try shell.start(Self.start, program: program)[0]
      gateway.process.waitUntilExit()
      #expect(gateway.process.terminationStatus == 1)
      #expect(gateway.log.contains(#"error parsing endpoint "infra0.example.com""#))
      if program == Binaries.ours {
        #expect(gateway.log.contains("as in infra0.example.com:2379"))
      }
    }
  }

  /// §5.4 with ports: three members behind one address.
  @Test func staticEndpointsAreServed() throws {
    let scratch = Scratch()
    let ports = freePorts(7)
    let peers = (0..<3).map { "http://127.0.0.1:\(ports[$0])" }
    let members = try (0..<3).map { at in
      let client = "http://127.0.0.1:\(ports[at + 3])"
      return try ServerProcess(
        [
          "--name", "m\(at)", "--data-dir", "\(scratch.path)/m\(at)", "--listen-client-urls",
          client, "--advertise-client-urls", client, "--listen-peer-urls", peers[at],
          "--initial-advertise-peer-urls", peers[at], "--initial-cluster",
          (0..<3).map { "m\($0)=\(peers[$0])" }.joined(separator: ","),
        ], log: "\(scratch.path)/log\(at)")
    }
    for member in members { try member.waitFor("ready to serve client requests") }
    let shell = GuideShell(
      (0..<3).map { ("infra\($0).example.com", "127.0.0.1:\(ports[$0 + 3])") })
    let gateway = try shell.start(Self.start + " --listen-addr=127.0.0.1:\(ports[6])")[0]
    try gateway.waitFor("ready to proxy client requests")
    #expect(shell.output("etcdctl --endpoints=127.0.0.1:\(ports[6]) put k v") == "OK\n")
    #expect(shell.output("etcdctl --endpoints=127.0.0.1:\(ports[6]) get k") == "k\nv\n")
    for process in members + [gateway] { process.end() }
  }
}
