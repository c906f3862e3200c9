import Auth
import Bytes
import EtcdConfig
import FileSystem
import JSON
import Protobuf
import Synchronization

/// Signed tokens that say by themselves who holds them, and at which auth revision they were made.
///
/// - Source: RFC 7519, RFC 7515 §3.1; etcd `server/auth/jwt.go`.
final class JSONWebTokens: Sendable {
  /// What came of looking at the key files again.
  enum Change {
    case none
    case reloaded
    /// They cannot be used; the key before counts on. Told once.
    case broken(SigningKey.Failure)
  }

  private struct State {
    var key: SigningKey
    /// What the files held, the public key first.
    var files: [Bytes?]
    var problem: String?
  }

  private let state: Mutex<State>
  /// Reads the files; `nil` for a key that is in none.
  private let readFiles: (@Sendable () throws(SigningKey.Failure) -> [Bytes?])?
  /// Seconds from signing to the end.
  private let lifetime: Int64

  private static let keyFileMax = 1 << 20

  init(
    key: SigningKey, lifetime: Int64, files: [Bytes?] = [],
    readFiles: (@Sendable () throws(SigningKey.Failure) -> [Bytes?])? = nil
  ) {
    state = Mutex(State(key: key, files: files))
    self.lifetime = lifetime
    self.readFiles = readFiles
  }

  private var key: SigningKey { state.withLock { $0.key } }

  /// Reads the key files again: tokens made from now on are signed with what they hold, and those of the key
  /// before are not taken any more. Blocks for the disk.
  func reload() -> Change {
    guard let readFiles else { return .none }
    let (method, before) = state.withLock { ($0.key.method, $0.files) }
    do throws(SigningKey.Failure) {
      let files = try readFiles()
      guard files != before else {
        state.withLock { $0.problem = nil }
        return .none
      }
      let key = try SigningKey(method, publicKey: files[0], privateKey: files[1])
      state.withLock { $0 = State(key: key, files: files) }
      return .reloaded
    } catch {
      let isKnown = state.withLock { state in
        defer { state.problem = error.description }
        return state.problem == error.description
      }
      return isKnown ? .none : .broken(error)
    }
  }

  /// - Throws: for a method or keys that cannot be used.
  convenience init(
    _ options: AuthTokenOptions, _ fileSystem: any FileSystem
  ) throws(SigningKey.Failure) {
    let invalid = "auth: invalid auth options"
    guard let method = SigningMethod(options.signMethod) else {
      throw SigningKey.Failure(
        description: "\(invalid): unknown sign-method \"\(options.signMethod)\"")
    }
    @Sendable func read(_ path: String) throws(SigningKey.Failure) -> Bytes? {
      guard !path.isEmpty else { return nil }
      do throws(FileError) {
        return try fileSystem.readFile(path, limit: Self.keyFileMax)
      } catch { throw SigningKey.Failure(description: "\(invalid): \(error.description)") }
    }
    let (publicPath, privatePath) = (options.publicKeyPath, options.privateKeyPath)
    let readFiles: @Sendable () throws(SigningKey.Failure) -> [Bytes?] = {
      () throws(SigningKey.Failure) in [try read(publicPath), try read(privatePath)]
    }
    let files = try readFiles()
    self.init(
      key: try SigningKey(method, publicKey: files[0], privateKey: files[1]),
      lifetime: options.lifetime / 1_000_000_000, files: files, readFiles: readFiles)
  }

  var canSign: Bool { key.canSign }

  /// A token for a user.
  /// - Parameter now: seconds since 1970.
  /// - Returns: `nil` when the key cannot sign.
  func make(_ user: String, revision: UInt64, now: Int64) -> String? {
    let key = key
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
    let key = key
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
