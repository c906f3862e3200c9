import Auth
import Bytes
import EtcdAPI
import EtcdConfig
import GRPC
import Runtime

/// Who asks: users and roles as last applied, and the tokens that stand for users. Confined to the
/// client loop.
///
/// - Source: etcd `AuthInfoFromCtx` in `server/auth/store.go`.
final class AccessControl: @unchecked Sendable {
  // @unchecked: confined to `loop`, asserted where it changes.

  private let loop: EventLoop
  private var provider = TokenProvider.none
  private var tokens = SimpleTokens(lifetime: 0)
  /// Users and roles as of the newest turn of the core that was answered.
  private(set) var store = AuthStore()

  init(loop: EventLoop) { self.loop = loop }

  /// Begins with what was restored.
  func start(_ provider: TokenProvider, _ store: AuthStore) {
    loop.preconditionCurrent()
    self.provider = provider
    self.store = store
    if case .simple(let lifetime) = provider { tokens = SimpleTokens(lifetime: lifetime) }
  }

  /// Whether requests need a user.
  var isEnabled: Bool { store.isEnabled }

  /// Takes over what a turn of the core changed.
  func update(_ store: AuthStore?, _ events: [TokenEvent]) {
    loop.preconditionCurrent()
    if let store { self.store = store }
    guard case .simple = provider else { return }
    for event in events { tokens.apply(event, now: loop.now) }
  }

  // MARK: Tokens of calls

  private static let tokenName: Bytes = "token"
  private static let authorizationName: Bytes = "authorization"
  private static let bearer = "Bearer "

  /// The token that came with a call.
  static func token(in metadata: Metadata) -> String? {
    guard let value = metadata.first(tokenName) ?? metadata.first(authorizationName) else {
      return nil
    }
    let text = value.string
    return text.hasPrefix(bearer) ? String(text.dropFirst(bearer.utf8.count)) : text
  }

  /// What a token says.
  enum Reading {
    case known(AuthInfo)
    /// The entry that assigns it, this one or the next, may not have been applied here yet.
    case awaits(index: UInt64)
    case invalid
  }

  func read(_ token: String) -> Reading {
    loop.preconditionCurrent()
    switch provider {
    case .none: return .invalid
    case .signed(let tokens): return readSigned(token, tokens)
    case .simple:
      if let user = tokens.use(token, now: loop.now) {
        return .known(AuthInfo(username: user, revision: store.revision))
      }
      guard let index = SimpleTokens.parse(token)?.index else { return .invalid }
      return .awaits(index: index)
    }
  }

  /// Signed tokens that were verified, with the second at which each ends: a signature costs more
  /// than all other checks of a request.
  private var verified: [String: (holder: AuthInfo, expires: Int64)] = [:]
  private static let verifiedMax = 1024

  private func readSigned(_ token: String, _ tokens: JSONWebTokens) -> Reading {
    let now = WallClock.nanoseconds / 1_000_000_000
    if let found = verified[token] {
      if now < found.expires { return .known(found.holder) }
      verified[token] = nil
      return .invalid
    }
    guard let found = tokens.read(token, now: now) else { return .invalid }
    if verified.count >= Self.verifiedMax { verified.removeAll() }
    verified[token] = found
    return .known(found.holder)
  }

  /// Whether a token stands for a user whatever the auth revision is. Then a request that was refused
  /// for its old revision may simply be tried again, and a read is checked at its state's revision.
  var followsRevision: Bool {
    if case .simple = provider { return true }
    return false
  }

  // MARK: New tokens

  private static let letters = Array(
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ".utf8)
  private static let prefixLength = 16

  /// What goes into the log for a new token; empty when members need not know it.
  func makePrefix() -> String {
    guard case .simple = provider else { return "" }
    var generator = SystemRandomNumberGenerator()
    let bytes = (0..<Self.prefixLength).map { _ in Self.letters.randomElement(using: &generator)! }
    return String(decoding: bytes, as: UTF8.self)
  }

  /// Makes the token for a user whose entry was applied; `done` is called on the loop.
  /// - Parameter namesOwnIndex: whether the other members spell tokens as etcd before 3.5.3.
  func makeToken(
    _ user: String, prefix: String, index: UInt64, authRevision: UInt64, namesOwnIndex: Bool,
    _ workers: PasswordWorkers, _ done: @escaping (Result<String, EtcdError>) -> Void
  ) {
    switch provider {
    case .none: done(.failure(.authFailed))
    case .simple:
      done(.success(SimpleTokens.text(prefix: prefix, index: namesOwnIndex ? index : index - 1)))
    case .signed(let tokens):
      workers.run(done) {
        let now = WallClock.nanoseconds / 1_000_000_000
        guard let token = tokens.make(user, revision: authRevision, now: now) else {
          return .failure(.verifyOnly)
        }
        return .success(token)
      }
    }
  }
}
