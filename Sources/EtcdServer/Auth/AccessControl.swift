import Auth
import Bytes
import EtcdAPI
import EtcdConfig
import GRPC
import Runtime

/// How tokens are made, as `--auth-token` says.
enum TokenProvider: Sendable {
  /// Nobody gets one.
  case none
  /// Random letters that every member learns from the log. - Parameter lifetime: nanoseconds.
  case simple(lifetime: UInt64)

  /// Ten years: beyond that nobody can tell.
  private static let secondsMax = 10 * 365 * 86_400

  /// - Throws: for a kind or options that do not exist, in etcd's words.
  init(_ config: ServerConfig) throws(StartError) {
    let words = config.authToken.split(separator: ",", omittingEmptySubsequences: false)
    switch words.first ?? "" {
    case "": self = .none
    case "simple":
      self = .simple(
        lifetime: UInt64(min(config.authTokenTTL, Self.secondsMax)) * 1_000_000_000)
    default: throw StartError("auth: invalid auth options")
    }
  }
}

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
    /// The entry that assigns it may not have been applied here yet.
    case awaits(index: UInt64)
    case invalid
  }

  func read(_ token: String) -> Reading {
    loop.preconditionCurrent()
    switch provider {
    case .none: return .invalid
    case .simple:
      if let user = tokens.use(token, now: loop.now) {
        return .known(AuthInfo(username: user, revision: store.revision))
      }
      guard let index = SimpleTokens.parse(token)?.index else { return .invalid }
      // The entry itself or, as later versions spell it, the one before it.
      return .awaits(index: index == .max ? index : index + 1)
    }
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

  /// The token for a user whose entry was applied.
  /// - Parameter namesOwnIndex: whether the other members spell tokens as etcd before 3.5.3.
  func makeToken(
    _ user: String, prefix: String, index: UInt64, authRevision: UInt64, namesOwnIndex: Bool
  ) throws(EtcdError) -> String {
    switch provider {
    case .none: throw .authFailed
    case .simple: return SimpleTokens.text(prefix: prefix, index: namesOwnIndex ? index : index - 1)
    }
  }
}
