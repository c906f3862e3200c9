/// Tokens that members know by heart: random letters, a dot, and a position in the log.
///
/// Each member learns them from the log and forgets them on its own when nobody uses them. Go etcd up
/// to 3.5.2 writes the index of the entry that assigned the token, later ones the index before it;
/// both name the same token here.
///
/// - Source: etcd `server/auth/simple_token.go`.
public struct SimpleTokens: Sendable {
  private struct Token {
    let user: ExactString
    let index: UInt64
    /// Nanoseconds on the caller's clock.
    var expires: UInt64
  }

  private var tokens: [ExactString: Token] = [:]
  /// Nanoseconds a token lives after its last use.
  private let lifetime: UInt64
  private var swept: UInt64 = 0
  private static let sweepInterval: UInt64 = 1_000_000_000

  public init(lifetime: UInt64) { self.lifetime = lifetime }

  public var count: Int { tokens.count }

  /// The text of a token.
  /// - Parameter index: index of the entry that assigned it, or the one before.
  public static func text(prefix: String, index: UInt64) -> String { "\(prefix).\(index)" }

  /// The parts of a token; `nil` when it has not this form.
  public static func parse(_ token: String) -> (prefix: String, index: UInt64)? {
    let parts = token.utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
    guard parts.count == 2, let digits = String(parts[1]),
      digits.utf8.allSatisfy({ $0 >= 0x30 && $0 <= 0x39 }), let index = UInt64(digits),
      let prefix = String(parts[0])
    else { return nil }
    return (prefix, index)
  }

  /// Takes over what an applied entry means. - Parameter now: nanoseconds.
  public mutating func apply(_ event: TokenEvent, now: UInt64) {
    switch event {
    case .assign(let prefix, let index, let user):
      sweep(now)
      guard !prefix.isEmpty else { return }
      tokens[ExactString(prefix)] = Token(
        user: ExactString(user), index: index, expires: now &+ lifetime)
    case .invalidate(let user):
      let gone = ExactString(user)
      tokens = tokens.filter { $0.value.user != gone }
    case .invalidateAll: tokens.removeAll()
    }
  }

  /// Whose token it is, and begins its lifetime anew; `nil` when it is not known.
  public mutating func use(_ token: String, now: UInt64) -> String? {
    guard let (prefix, index) = Self.parse(token) else { return nil }
    let key = ExactString(prefix)
    guard let found = tokens[key] else { return nil }
    guard found.expires > now else {
      tokens[key] = nil
      return nil
    }
    guard index == found.index || index &+ 1 == found.index else { return nil }
    tokens[key]!.expires = now &+ lifetime
    return found.user.text
  }

  /// Forgets what has expired, at most once a second.
  private mutating func sweep(_ now: UInt64) {
    guard now &- swept >= Self.sweepInterval else { return }
    swept = now
    tokens = tokens.filter { $0.value.expires > now }
  }
}
