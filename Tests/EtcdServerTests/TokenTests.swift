import Auth
import Bytes
import EtcdConfig
import FileSystem
import Foundation
import Protobuf
import TestSupport
import Testing

@testable import EtcdServer

@Suite struct TokenTests {
  /// A new key file made by OpenSSL's tool, and its public half.
  static func makeKeys(_ method: String, _ directory: String) throws -> (Bytes?, Bytes) {
    func openssl(_ words: String) throws {
      let process = Process()
      process.executableURL = URL(fileURLWithPath: "/usr/bin/openssl")
      process.arguments = words.split(separator: " ").map(String.init)
      process.standardError = FileHandle.nullDevice
      try process.run()
      process.waitUntilExit()
      #expect(process.terminationStatus == 0, "openssl \(words)")
    }
    if method.hasPrefix("HS") { return (nil, "a secret") }
    let file = directory + "/private"
    if method.hasPrefix("ES") {
      let curve = ["ES256": "prime256v1", "ES384": "secp384r1", "ES512": "secp521r1"][method]!
      try openssl("ecparam -name \(curve) -genkey -noout -out \(file)")
    } else {
      try openssl("genrsa -out \(file) 2048")
    }
    try openssl("pkey -in \(file) -pubout -out \(directory)/public")
    func read(_ name: String) throws -> Bytes {
      Bytes(try Data(contentsOf: URL(fileURLWithPath: "\(directory)/\(name)")))
    }
    return (try read("public"), try read("private"))
  }

  static let methods = ["HS", "RS", "PS", "ES"].flatMap { family in
    ["256", "384", "512"].map { family + $0 }
  }

  @Test func aChangedKeyCountsAndABrokenOneDoesNot() throws {
    let scratch = Scratch()
    let files = ["public", "private"].map { scratch.path + "/" + $0 }
    _ = try Self.makeKeys("ES256", scratch.path)
    let tokens = try JSONWebTokens(
      try AuthTokenOptions(
        parsing: "jwt,pub-key=\(files[0]),priv-key=\(files[1]),sign-method=ES256"),
      RealFileSystem())
    func change() -> String {
      switch tokens.reload() {
      case .none: "none"
      case .reloaded: "reloaded"
      case .broken(let failure): failure.description
      }
    }
    let first = try #require(tokens.make("a", revision: 1, now: 0))
    #expect(change() == "none" && tokens.read(first, now: 1) != nil)
    try "rubbish".write(toFile: files[1], atomically: true, encoding: .utf8)
    #expect(change() == "auth: the private key is not readable")
    #expect(change() == "none" && tokens.read(first, now: 1) != nil)
    _ = try Self.makeKeys("ES256", scratch.path)
    #expect(change() == "reloaded")
    let second = try #require(tokens.make("a", revision: 1, now: 0))
    #expect(tokens.read(first, now: 1) == nil && tokens.read(second, now: 1) != nil)
  }

  @Test(arguments: methods) func readsWhatItMade(name: String) throws {
    let scratch = Scratch()
    let (publicKey, privateKey) = try Self.makeKeys(name, scratch.path)
    let method = try #require(SigningMethod(name))
    let signer = JSONWebTokens(
      key: try SigningKey(method, publicKey: publicKey, privateKey: privateKey), lifetime: 300)
    let token = try #require(signer.make("alice \u{e9}", revision: 42, now: 1000))
    let read = try #require(signer.read(token, now: 1299))
    #expect(read.holder.username == "alice \u{e9}" && read.holder.revision == 42)
    #expect(read.expires == 1300)
    #expect(signer.read(token, now: 1300) == nil)
    // One changed character anywhere ends it.
    var random = SeededGenerator.printed("readsWhatItMade \(name)")
    for _ in 0..<40 {
      var bytes = Array(token.utf8)
      // The last character has bits that mean nothing.
      let place = Int.random(in: 0..<bytes.count - 1, using: &random)
      bytes[place] = bytes[place] == UInt8(ascii: "A") ? UInt8(ascii: "B") : UInt8(ascii: "A")
      #expect(signer.read(String(decoding: bytes, as: UTF8.self), now: 1000) == nil)
    }
    if let publicKey {
      let verifier = JSONWebTokens(
        key: try SigningKey(method, publicKey: publicKey, privateKey: nil), lifetime: 300)
      #expect(verifier.read(token, now: 1000)?.holder.username == "alice \u{e9}")
      #expect(!verifier.canSign && verifier.make("x", revision: 1, now: 0) == nil)
      // The public key is no secret: it must not pass for one.
      let confused = JSONWebTokens(
        key: try SigningKey(
          try #require(SigningMethod("HS256")), publicKey: nil, privateKey: publicKey),
        lifetime: 300)
      let forged = try #require(confused.make("root", revision: 42, now: 1000))
      #expect(verifier.read(forged, now: 1000) == nil)
    }
  }

  /// A token of ours whose claims are missing, or of another kind, names nobody.
  /// - Source: etcd issue 15676.
  @Test(arguments: [
    "{}", #"{"username":"a"}"#, #"{"revision":1}"#, #"{"username":1,"revision":1}"#,
    #"{"username":"a","revision":"1"}"#, #"{"username":"a","revision":-1}"#,
    #"{"username":null,"revision":null}"#, "[]", "1",
  ]) func refusesTokensWithoutClaims(claims: String) throws {
    let key = try SigningKey(
      try #require(SigningMethod("HS256")), publicKey: nil, privateKey: "0123456789abcdef")
    let parts = [#"{"alg":"HS256","typ":"JWT"}"#, claims].map {
      Base64.rawURL.encode(Bytes($0)).string
    }
    let content = parts.joined(separator: ".")
    let signature = Base64.rawURL.encode(try #require(key.sign(Bytes(content)))).string
    let tokens = JSONWebTokens(key: key, lifetime: 300)
    #expect(tokens.read("\(content).\(signature)", now: 1000) == nil)
  }

  /// What Go's library refuses: times that are no Int64, and the alphabet of another coding.
  @Test func refusesOddTimesAndAlphabets() throws {
    let key = try SigningKey(
      try #require(SigningMethod("HS256")), publicKey: nil, privateKey: "0123456789abcdef")
    let tokens = JSONWebTokens(key: key, lifetime: 300)
    func urlBase64(_ bytes: Bytes) -> String { Base64.rawURL.encode(bytes).string }
    func token(exp: String) throws -> String {
      let content =
        urlBase64(#"{"alg":"HS256","typ":"JWT"}"#) + "."
        + urlBase64(Bytes(#"{"exp":\#(exp),"revision":1,"username":"a"}"#))
      return content + "." + urlBase64(try #require(key.sign(Bytes(content))))
    }
    #expect(tokens.read(try token(exp: "2000"), now: 1000)?.expires == 2000)
    #expect(tokens.read(try token(exp: "2000.9"), now: 1000)?.expires == 2000)
    for exp in ["1e30", "1000000000000000000000000000000", "9223372036854775808", "-1e30", "\"9\""]
    {
      #expect(tokens.read(try token(exp: exp), now: 1000) == nil, "\(exp)")
    }
    // The same token, spelled with the letters that URLs do not bear.
    var spelled: (url: String, standard: String)?
    for exp in 2000..<2200 where spelled == nil {
      let url = try token(exp: "\(exp)")
      let parts = url.split(separator: ".")
      guard parts[2].contains("-") || parts[2].contains("_") else { continue }
      let standard = parts[2].replacingOccurrences(of: "-", with: "+")
        .replacingOccurrences(of: "_", with: "/")
      spelled = (url, "\(parts[0]).\(parts[1]).\(standard)")
    }
    let (url, standard) = try #require(spelled)
    #expect(tokens.read(url, now: 1000) != nil)
    #expect(tokens.read(standard, now: 1000) == nil)
  }

  @Test func refusesKeysThatDoNotFit() throws {
    let scratch = Scratch()
    let other = Scratch()
    let (publicKey, privateKey) = try Self.makeKeys("RS256", scratch.path)
    let (foreign, curve) = try Self.makeKeys("ES256", other.path)
    func failure(_ name: String, _ publicKey: Bytes?, _ privateKey: Bytes?) -> String {
      do throws(SigningKey.Failure) {
        _ = try SigningKey(SigningMethod(name)!, publicKey: publicKey, privateKey: privateKey)
        return ""
      } catch { return error.description }
    }
    #expect(failure("RS256", nil, nil) == "auth: missing key data")
    #expect(failure("HS256", nil, nil) == "auth: missing key data")
    #expect(failure("RS256", foreign, privateKey) == "auth: private and public keys don't match")
    #expect(failure("RS256", publicKey, "nonsense") == "auth: the private key is not readable")
    #expect(failure("RS256", "nonsense", nil) == "auth: the public key is not readable")
    #expect(failure("RS256", foreign, curve).contains("not of type RSA"))
    #expect(failure("ES384", foreign, curve).contains("384 bits"))
    #expect(failure("PS256", publicKey, privateKey) == "")
    for name in ["none", "", "RS257", "EdDSA", "XS256", "rs256"] {
      #expect(SigningMethod(name) == nil)
    }
  }

  @Test func readsTheFlagAsGoDoes() throws {
    let options = try AuthTokenOptions(
      parsing: "jwt,pub-key=a,priv-key=b,sign-method=RS256,ttl=1m30s,x=y")
    #expect(options.kind == .jwt && options.signMethod == "RS256")
    #expect(options.publicKeyPath == "a" && options.privateKeyPath == "b")
    #expect(options.lifetime == 90_000_000_000 && options.unknown == ["x"])
    #expect(try AuthTokenOptions(parsing: "simple").kind == .simple)
    #expect(try AuthTokenOptions(parsing: "").kind == .none)
    for wrong in ["other", "jwt,x", "jwt,a=b=c", "jwt,ttl=1,ttl=2", "jwt,ttl=x", "simple,x"] {
      #expect(throws: AuthTokenOptions.Failure.self) { try AuthTokenOptions(parsing: wrong) }
    }
  }
}
