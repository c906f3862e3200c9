import Bytes
import Foundation
import TestSupport
import Testing

@testable import TLS

/// Files that change under a running member, and certificates that it makes for itself.
@Suite struct MaterialTests {
  @Test func newFilesCountAndBrokenOnesDoNot() throws {
    let authority = try TestAuthority()
    let first = try authority.issue("one", commonName: "one")
    let second = try authority.issue("two", commonName: "two")
    let scratch = Scratch()
    var settings = TLSSettings()
    settings.certificateFile = scratch.path + "/cert.pem"
    settings.keyFile = scratch.path + "/key.pem"
    func put(_ pair: TestAuthority.Pair) throws {
      for (from, to) in [
        (pair.certificate, settings.certificateFile), (pair.key, settings.keyFile),
      ] {
        try Data(contentsOf: URL(fileURLWithPath: from)).write(to: URL(fileURLWithPath: to))
      }
    }
    try put(first)
    let material = try TLSMaterial(settings)
    let begun = material.current
    guard case .none = material.reload() else { return #expect(Bool(false), "nothing changed") }
    try put(second)
    guard case .reloaded(let context) = material.reload() else {
      return #expect(Bool(false), "not read again")
    }
    #expect(begun.leaf?.commonName == "one" && context.leaf?.commonName == "two")
    #expect(material.current === context)
    try Data("rubbish".utf8).write(to: URL(fileURLWithPath: settings.keyFile))
    guard case .broken(let failure) = material.reload() else {
      return #expect(Bool(false), "a broken key was taken")
    }
    #expect(failure.description == "tls: failed to find any PEM data in key input")
    #expect(material.current === context)
    // It is told once.
    guard case .none = material.reload() else { return #expect(Bool(false), "told twice") }
    try put(first)
    guard case .reloaded = material.reload() else { return #expect(Bool(false), "not healed") }
    #expect(material.current.leaf?.commonName == "one")
  }

  @Test func aMemberMakesACertificateForItself() throws {
    let made = try SelfSignedCertificate.make(
      hosts: ["127.0.0.1", "::1", "example.com"], years: 2, now: 1_800_000_000)
    let facts = try #require(CertificateFacts(pem: made.certificate))
    #expect(facts.ipAddresses == ["127.0.0.1", "::1"] && facts.dnsNames == ["example.com"])
    #expect(facts.notBefore == 1_800_000_000)
    #expect(facts.notAfter == 1_800_000_000 + 2 * 365 * 86_400 && facts.notAfter == made.notAfter)
    #expect(String(decoding: made.key, as: UTF8.self).hasPrefix("-----BEGIN EC PRIVATE KEY-----"))
    #expect(throws: TLSFailure.self) {
      _ = try SelfSignedCertificate.make(hosts: [], years: 0, now: 0)
    }
    var files = TLSFiles()
    files.certificate = made.certificate
    files.key = made.key
    let context = try TLSContext(TLSSettings(), files, protocols: [])
    #expect(context.server != nil && context.leaf == facts)
  }

  @Test(
    arguments: [
      ([127, 0, 0, 1], "127.0.0.1"),
      ([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1], "::1"),
      ([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1], "2001:db8::1:0:0:1"),
      ([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 10, 0, 0, 7], "10.0.0.7"),
      ([0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], "fe80::"),
      ([1, 2, 3], nil),
    ] as [([UInt8], String?)])
  func addressesReadAsGoWritesThem(_ bytes: [UInt8], _ text: String?) {
    #expect(AddressText.text(bytes) == text)
  }

  @Test func suitesHaveGosNames() throws {
    #expect(CipherSuites.isKnown("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"))
    #expect(CipherSuites.isKnown("TLS_RSA_WITH_RC4_128_SHA"))
    #expect(!CipherSuites.isKnown("ECDHE-RSA-AES128-GCM-SHA256"))
    #expect(
      try CipherSuites.list([
        "TLS_RSA_WITH_AES_128_CBC_SHA", "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305",
      ]) == "AES128-SHA:ECDHE-ECDSA-CHACHA20-POLY1305")
  }
}
