import Auth
import Bytes
import EtcdConfig
import FileSystem
import JSON
import Protobuf

/// Signed tokens that say by themselves who holds them, and at which auth revision they were made.
///
/// - Source: RFC 7519, RFC 7515 §3.1; etcd `server/auth/jwt.go`.
final class JSONWebTokens: Sendable {
  private let key: SigningKey
  /// Seconds from signing to the end.
  private let lifetime: Int64

  private static let keyFileMax = 1 << 20

  init(key: SigningKey, lifetime: Int64) {
    self.key = key
    self.lifetime = lifetime
  }

  /// - Throws: for a method or keys that cannot be used.
  convenience init(
    _ options: AuthTokenOptions, _ fileSystem: some FileSystem
  ) throws(SigningKey.Failure) {
    let invalid = "auth: invalid auth options"
    guard let method = SigningMethod(options.signMethod) else {
      throw SigningKey.Failure(
        description: "\(invalid): unknown sign-method \"\(options.signMethod)\"")
    }
    func read(_ path: String) throws(SigningKey.Failure) -> Bytes? {
      guard !path.isEmpty else { return nil }
      do throws(FileError) {
        return try fileSystem.readFile(path, limit: Self.keyFileMax)
      } catch { throw SigningKey.Failure(description: "\(invalid): \(error.description)") }
    }
    let key = try SigningKey(
      method, publicKey: read(options.publicKeyPath), privateKey: read(options.privateKeyPath))
    self.init(key: key, lifetime: options.lifetime / 1_000_000_000)
  }

  var canSign: Bool { key.canSign }

  /// A token for a user.
  /// - Parameter now: seconds since 1970.
  /// - Returns: `nil` when the key cannot sign.
  func make(_ user: String, revision: UInt64, now: Int64) -> String? {
    let header: JSONValue = ["alg": .string(key.method.name), "typ": "JWT"]
    let claims: JSONValue = [
      "exp": .integer(now + lifetime), "revision": .integer(revision), "username": .string(user),
    ]
    let content = "\(Self.text(header.encoded())).\(Self.text(claims.encoded()))"
    guard let signature = key.sign(Bytes(content)) else { return nil }
    return "\(content).\(Self.text(signature))"
  }

  /// What a token says, if it is one of ours and its time has not run out.
  /// - Parameter now: seconds since 1970.
  /// - Returns: the holder, and the second at which the token ends.
  func read(_ token: String, now: Int64) -> (holder: AuthInfo, expires: Int64)? {
    let parts = token.split(separator: ".", omittingEmptySubsequences: false).map(String.init)
    guard parts.count == 3, let header = Base64.rawURL.decode(Bytes(parts[0])),
      let body = Base64.rawURL.decode(Bytes(parts[1])),
      let signature = Base64.rawURL.decode(Bytes(parts[2])),
      let method = (try? JSONValue.parse(header))?["alg"]?.string, method == key.method.name,
      key.verify(Bytes("\(parts[0]).\(parts[1])"), signature),
      let claims = try? JSONValue.parse(body), claims.object != nil
    else { return nil }
    // Each claim of time may be missing, but not be anything else than a number.
    var expires = Int64.max
    if let claim = claims["exp"] {
      // As Go: a time that is no Int64 has passed long ago.
      guard let time = Self.number(claim), let whole = Int64(exactly: time.rounded(.down)) else {
        return nil
      }
      expires = whole
    }
    guard now < expires else { return nil }
    for name in ["iat", "nbf"] {
      guard let claim = claims[name] else { continue }
      guard let time = Self.number(claim), Double(now) >= time else { return nil }
    }
    guard let user = claims["username"]?.string, let claim = claims["revision"],
      let revision = Self.number(claim), revision >= 0, revision < 1.8e19
    else { return nil }
    return (AuthInfo(username: user, revision: UInt64(revision)), expires)
  }

  private static func number(_ value: JSONValue) -> Double? {
    guard case .number(let text) = value, let number = Double(text), number.isFinite else {
      return nil
    }
    return number
  }

  /// - Source: RFC 7515 §2.
  private static func text(_ part: Bytes) -> String { Base64.rawURL.encode(part).string }
}
