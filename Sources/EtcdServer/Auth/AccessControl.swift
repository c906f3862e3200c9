import Auth
import Bytes
import Calls
import EtcdAPI
import EtcdConfig
import EventLoops
import Platform
import Synchronization

/// Who asks: users and roles as last applied, and the tokens that stand for users. Any thread.
///
/// Turns of the core change it in their order, before their answers leave: what an answer says about
/// rights holds on every loop.
///
/// - Source: etcd `AuthInfoFromCtx` in `server/auth/store.go`.
final class AccessControl: Sendable {
  private struct State {
    var store: AuthStore
    var tokens: SimpleTokens
    /// Signed tokens that were verified, with the second at which each ends: a signature costs more
    /// than all other checks of a request.
    var verified: [String: (holder: AuthInfo, expires: Int64)] = [:]
  }

  private let provider: TokenProvider
  private let state: Mutex<State>
  /// `store.isEnabled`, for every request to look at.
  private let enabled: Atomic<Bool>

  /// - Parameters:
  ///   - provider: what `--auth-token` asks for.
  ///   - store: what was restored.
  init(_ provider: TokenProvider, _ store: AuthStore) {
    self.provider = provider
    var lifetime: UInt64 = 0
    if case .simple(let nanoseconds) = provider { lifetime = nanoseconds }
    state = Mutex(State(store: store, tokens: SimpleTokens(lifetime: lifetime)))
    enabled = Atomic(store.isEnabled)
  }

  /// Users and roles as of the newest turn of the core.
  var store: AuthStore { state.withLock { $0.store } }

  /// Whether requests need a user.
  var isEnabled: Bool { enabled.load(ordering: .acquiring) }

  /// Takes over what a turn of the core changed; called by whoever holds the turn.
  func update(_ store: AuthStore?, _ events: [TokenEvent]) {
    let now = monotonicNanoseconds()
    state.withLock { state in
      if let store {
        state.store = store
        enabled.store(store.isEnabled, ordering: .releasing)
      }
      guard case .simple = provider else { return }
      for event in events { state.tokens.apply(event, now: now) }
    }
  }

  // MARK: Tokens of calls

  private static let tokenName: Bytes = "token"
  private static let authorizationName: Bytes = "authorization"

  /// The token that came with a call, as it came.
  static func token(in metadata: Metadata) -> String? {
    (metadata.first(tokenName) ?? metadata.first(authorizationName))?.string
  }

  /// The user that a client's certificate names, for calls without a token. Calls that the JSON gateway
  /// passes on carry its own certificate in etcd, so the name counts for nothing there.
  /// - Source: etcd `AuthInfoFromTLS`: the common name, at the current revision.
  func holder(of caller: Caller) -> AuthInfo? {
    guard let name = caller.certificate?.commonName, !name.isEmpty,
      caller.metadata.first(Self.gatewayName) == nil
    else { return nil }
    return AuthInfo(username: name, revision: store.revision)
  }

  private static let gatewayName: Bytes = "grpcgateway-accept"

  /// What a token says.
  enum Reading {
    case known(AuthInfo)
    /// The entry that assigns it, this one or the next, may not have been applied here yet.
    case awaits(index: LogIndex)
    case invalid
  }

  func read(_ token: String) -> Reading {
    switch provider {
    case .none: return .invalid
    case .signed(let tokens): return readSigned(token, tokens)
    case .simple:
      let now = monotonicNanoseconds()
      let holder: AuthInfo? = state.withLock { state in
        state.tokens.use(token, now: now).map {
          AuthInfo(username: $0, revision: state.store.revision)
        }
      }
      if let holder { return .known(holder) }
      guard let index = SimpleTokens.parse(token)?.index else { return .invalid }
      return .awaits(index: LogIndex(index))
    }
  }

  private static let verifiedMax = 1024

  private func readSigned(_ token: String, _ tokens: JSONWebTokens) -> Reading {
    let now = WallClock.seconds
    if let found = state.withLock({ $0.verified[token] }) {
      if now < found.expires { return .known(found.holder) }
      state.withLock { _ = $0.verified.removeValue(forKey: token) }
      return .invalid
    }
    guard let found = tokens.read(token, now: now) else { return .invalid }
    state.withLock { state in
      if state.verified.count >= Self.verifiedMax { state.verified.removeAll() }
      state.verified[token] = found
    }
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

  /// Makes the token for a user whose entry was applied; `done` is called on `loop`, where the caller
  /// is.
  /// - Parameter namesOwnIndex: whether the other members spell tokens as etcd before 3.5.3.
  func makeToken(
    _ user: String, prefix: String, index: UInt64, authRevision: UInt64, namesOwnIndex: Bool,
    _ workers: PasswordWorkers, on loop: EventLoop,
    _ done: @escaping (Result<String, EtcdError>) -> Void
  ) {
    switch provider {
    case .none: done(.failure(.authFailed))
    case .simple:
      done(.success(SimpleTokens.text(prefix: prefix, index: namesOwnIndex ? index : index - 1)))
    case .signed(let tokens):
      workers.run(on: loop, done) {
        let now = WallClock.seconds
        guard let token = tokens.make(user, revision: authRevision, now: now) else {
          return .failure(.verifyOnly)
        }
        return .success(token)
      }
    }
  }
}
