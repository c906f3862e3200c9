import Calls
import EtcdAPI
import EtcdClient
import EventLoops
import GRPC
import Protobuf
import Testing

@testable import EtcdCtlKit

/// What stands behind an error of etcdctl: the phase that was reached, and what to do.
@Suite struct HintTests {
  private static func dialled(_ reason: String) -> String {
    "connection error: desc = \"transport: \(reason)\""
  }

  @Test(arguments: [
    (
      "connection error: desc = \"transport: Error while dialing: dial tcp 127.0.0.1:1: connect: connection refused\"",
      "connection refused"
    ),
    (
      "connection error: desc = \"transport: Error while dialing: lookup dial tcp h:1: unknown node or service\"",
      "unknown node or service"
    ),
    (
      "connection error: desc = \"transport: authentication handshake failed: tls: failed to verify certificate: x509: certificate signed by unknown authority\"",
      "tls: failed to verify certificate: x509: certificate signed by unknown authority"
    ),
    ("connection error: desc = \"error reading from server: EOF\"", "EOF"),
    ("connection error: desc = \"error reading from server: connection aborted\"", "silence"),
    ("whatever", "whatever"),
  ])
  func reasonsAreShownPlain(_ text: String, _ plain: String) { #expect(Hint.plain(text) == plain) }

  @Test func eachPhaseHasItsAdvice() {
    func line(_ obstacle: Hint.Obstacle) -> String { Hint.line(obstacle) }
    func secure(_ reason: String, certificate: Bool = false, authority: Bool = false) -> String {
      line(
        Hint.Obstacle(
          endpoint: "e:1", phase: .tls, reason: Self.dialled(reason), isSecure: true,
          hasCertificate: certificate, hasAuthority: authority))
    }
    #expect(
      line(
        .init(
          endpoint: "e:1", phase: .connect,
          reason: Self.dialled("Error while dialing: dial tcp e:1: connect: connection refused")))
        == "Hint: e:1: connect failed: connection refused. Nothing listens there: see whether etcd "
        + "runs, and compare with its --listen-client-urls.\n")
    #expect(
      line(
        .init(
          endpoint: "h", phase: .resolve, reason: "dial tcp: address h: missing port in address")
      )
      .contains("HOST:2379"))
    let unknown = "tls: failed to verify certificate: x509: certificate signed by unknown authority"
    #expect(secure(unknown).contains("--cacert FILE"))
    #expect(secure(unknown, authority: true).contains("did not sign"))
    #expect(secure("tls: first record does not look like a TLS handshake").contains("http://"))
    #expect(
      secure("x509: cannot validate certificate for e because it doesn't contain any IP SANs")
        .contains("subjectAltName"))
    #expect(secure("x509: certificate is valid for a, not b").contains("subjectAltName"))
    #expect(
      secure("x509: certificate has expired or is not yet valid: …").contains("Renew the server"))
    #expect(secure("remote error: tls: certificate required").contains("--cert and --key"))
    #expect(secure("remote error: tls: bad certificate", certificate: true).contains("not revoked"))
    #expect(
      secure("remote error: tls: expired certificate", certificate: true).contains(
        "Renew the client"))
    var plain = Hint.Obstacle(endpoint: "e:1", phase: .http2, reason: "EOF")
    #expect(line(plain).contains("or wants TLS"))
    plain.speaksTLS = true
    #expect(line(plain).contains("use https://"))
  }

  @Test func whatAWaitingMemberSaysIsTold() {
    let led = Hint.line("e:1", waitingFor: .status(leader: 7, id: 9, errors: []))
    #expect(led.contains("leader 7") && led.contains("disk"))
    #expect(
      Hint.line("e:1", waitingFor: .status(leader: 7, id: 7, errors: [])).contains("it leads"))
    let headless = Hint.line(
      "e:1", waitingFor: .status(leader: 0, id: 9, errors: ["etcdserver: no leader"]))
    #expect(headless.contains("no leader (etcdserver: no leader)"))
    #expect(Hint.line("e:1", waitingFor: .silent).contains("hangs"))
  }

  @Test func refusalsThatSayEnoughGetNoHint() {
    #expect(Hint.line(EtcdError.noSpace.message)?.contains("defrag") == true)
    #expect(Hint.line(EtcdError.permissionDenied.message) == nil)
    let phases = PhaseLog()
    let settings = try? Desk().settings(["--endpoints", "127.0.0.1:1"])
    #expect(HintFinder(phases).text() == "")
    guard let settings else { return #expect(Bool(false), "no settings") }
    phases.connection(to: "127.0.0.1:1", .failed(.connect, Self.dialled("no way")))
    phases.failed(settings, GRPCStatus(.permissionDenied, EtcdError.permissionDenied.message))
    #expect(HintFinder(phases).text() == "")
    phases.failed(settings, .deadlineExceeded)
    #expect(HintFinder(phases).text().hasPrefix("Hint: 127.0.0.1:1: connect failed: no way. "))
    phases.failed(settings, GRPCStatus(.resourceExhausted, EtcdError.noSpace.message))
    #expect(HintFinder(phases).text().contains("alarm disarm"))
  }
}
