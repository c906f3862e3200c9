import Bytes
import EventLoops
import TestSupport
import Testing

@testable import TLS

/// Who is refused, and in which words: the same as Go's.
@Suite struct RefusalTests {
  private static let unverified = "tls: failed to verify certificate: "

  /// A client's certificate and what the server says of it; `nil` when it is let in.
  @Test(
    arguments: [
      ("good", nil),
      ("none", "tls: client didn't provide a certificate"),
      ("foreign", unverified + "x509: certificate signed by unknown authority"),
      ("expired", unverified + "x509: certificate has expired or is not yet valid: current time "),
      ("revoked", "transport: certificate serial "),
      ("elsewhere", "tls: \"127.0.0.1\" does not match any of DNSNames [\"elsewhere.invalid\"]"),
    ] as [(String, String?)])
  func aServerRefuses(_ kind: String, _ reason: String?) async throws {
    let all = try Fixture.all.get()
    let pair: TestAuthority.Pair? =
      switch kind {
      case "good": all.client
      case "foreign": all.foreign
      case "expired": all.expired
      case "revoked": all.revoked
      case "elsewhere": all.elsewhere
      default: nil
      }
    let server = try Fixture.server {
      $0.trustedCAFile = all.authority.certificate
      $0.crlFile = all.list
      $0.clientCertificateAuth = true
    }
    let client = try Fixture.client(pair)
    let (rejection, name, text) = try await withLoop { loop in
      let hands = try Handshakes(loop, server, client, check: .fromPeers)
      await hands.run()
      // Names are asked for outside of the loop.
      let deadline = loop.now + Duration.seconds(20).nanoseconds
      while hands.rejection == nil, hands.serverChannel == nil, loop.now < deadline {
        await hands.run()
      }
      hands.clientChannel?.write("in")
      await hands.run()
      return (hands.rejection, hands.serverChannel?.peerCertificate, hands.server.text)
    }
    if let reason {
      let found = try #require(rejection)
      #expect(found.reason.hasPrefix(reason), "\(found.reason)")
      #expect(found.remoteAddress == "127.0.0.1:7" && text.isEmpty)
    } else {
      #expect(rejection == nil && name?.commonName == "root" && text == "in")
    }
  }

  @Test(
    arguments: [
      ("127.0.0.1", "server", nil),
      ("localhost", "server", nil),
      ("other", "server", "x509: certificate is valid for localhost, not other"),
      ("127.0.0.2", "server", "x509: certificate is valid for 127.0.0.1, not 127.0.0.2"),
      (
        "127.0.0.1", "elsewhere",
        "x509: cannot validate certificate for 127.0.0.1 because it doesn't contain any IP SANs"
      ),
      ("127.0.0.1", "foreign", "x509: certificate signed by unknown authority"),
      ("127.0.0.1", "expired", "x509: certificate has expired or is not yet valid: current time "),
    ] as [(String, String, String?)])
  func aClientRefuses(_ host: String, _ kind: String, _ reason: String?) async throws {
    let all = try Fixture.all.get()
    let pair =
      ["foreign": all.foreign, "expired": all.expired, "elsewhere": all.elsewhere][kind]
      ?? all.server
    let server = try Fixture.server {
      $0.certificateFile = pair.certificate
      $0.keyFile = pair.key
    }
    for skips in [false, true] {
      let client = try Fixture.client { $0.insecureSkipVerify = skips }
      let (error, rejection) = try await withLoop { loop in
        let hands = try Handshakes(loop, server, client, host: host)
        await hands.run()
        return (hands.clientError, hands.rejection?.reason)
      }
      if let reason, !skips {
        #expect(error?.hasPrefix(Self.unverified + reason) == true, "\(error ?? "connected")")
        #expect(rejection?.hasPrefix("remote error: tls: ") == true)
      } else {
        #expect(error == nil && rejection == nil)
      }
    }
  }

  @Test func aServerNameCountsInsteadOfTheHost() async throws {
    let server = try Fixture.server()
    let errors = try await withLoop { loop in
      var errors: [String?] = []
      for name in ["localhost", "else"] {
        let client = try Fixture.client { $0.serverName = name }
        let hands = try Handshakes(loop, server, client, host: "10.0.0.1")
        await hands.run()
        errors.append(hands.clientError)
      }
      return errors
    }
    #expect(errors[0] == nil)
    #expect(errors[1]?.hasSuffix("certificate is valid for localhost, not else") == true)
  }

  @Test(
    arguments: [
      (["root"], [], true), (["other", "root"], [], true), (["other"], [], false),
      ([], ["localhost"], true), ([], ["127.0.0.1"], true), ([], ["other"], false),
    ] as [([String], [String], Bool)])
  func onlyNamesThatAreAllowedGetIn(
    _ names: [String], _ hosts: [String], _ isIn: Bool
  ) async throws {
    let all = try Fixture.all.get()
    let server = try Fixture.server {
      $0.trustedCAFile = all.authority.certificate
      $0.allowedCommonNames = names
      $0.allowedHostNames = hosts
    }
    let client = try Fixture.client(all.client)
    let (reason, channel) = try await withLoop { loop in
      let hands = try Handshakes(loop, server, client)
      await hands.run()
      return (hands.rejection?.reason, hands.serverChannel != nil)
    }
    #expect(channel == isIn)
    #expect(reason == (isIn ? nil : "client certificate authentication failed"))
  }

  @Test func versionsAndSuitesThatDoNotMeet() async throws {
    func reasons(
      _ server: TLSSettings, _ client: TLSSettings
    ) async throws -> (String?, String?) {
      try await withLoop { loop in
        let hands = try Handshakes(loop, server, client)
        await hands.run()
        return (hands.rejection?.reason, hands.clientError)
      }
    }
    let old = try await reasons(
      try Fixture.server { $0.leastVersion = .v13 },
      try Fixture.client { $0.mostVersion = .v12 })
    #expect(old.0 == "tls: client offered only unsupported versions")
    #expect(old.1 == "remote error: tls: protocol version not supported")
    let other = try await reasons(
      try Fixture.server {
        $0.mostVersion = .v12
        $0.cipherSuites = ["TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"]
      },
      try Fixture.client {
        $0.mostVersion = .v12
        $0.cipherSuites = ["TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"]
      })
    #expect(other.0 == "tls: no cipher suite supported by both client and server")
    #expect(other.1 == "remote error: tls: handshake failure")
  }

  @Test func filesThatCannotBeUsed() throws {
    let all = try Fixture.all.get()
    func refusal(_ change: (inout TLSSettings) -> Void) throws -> String? {
      let settings = try Fixture.server(change)
      do throws(TLSFailure) { _ = try TLSMaterial(settings) } catch { return error.description }
      return nil
    }
    #expect(
      try refusal { $0.certificateFile = "/nowhere" } == "open /nowhere: no such file or directory")
    #expect(
      try refusal { $0.keyFile = "" }
        == "KeyFile and CertFile must both be present[key: , cert: \(all.server.certificate)]")
    #expect(
      try refusal { $0.clientKeyFile = "k" }
        == "ClientKeyFile and ClientCertFile must both be present or both absent: key: k, cert: ]")
    #expect(
      try refusal { $0.keyFile = all.client.key } == "tls: private key does not match public key")
    #expect(
      try refusal { $0.certificateFile = all.server.key }
        == "tls: failed to find any PEM data in certificate input")
    #expect(
      try refusal { $0.keyFile = all.server.certificate }
        == "tls: failed to find any PEM data in key input")
    #expect(try refusal { $0.cipherSuites = ["NO"] } == "unexpected TLS cipher suite \"NO\"")
    #expect(try refusal { $0.crlFile = all.server.key } == "x509: malformed crl")
    #expect(try refusal { _ in } == nil)
  }
}
