import GoText

/// What `--auth-token` asks for: a kind of tokens, and options as `name=value` behind commas.
///
/// - Source: etcd `decomposeOpts`, `jwtOptions` in `server/auth`.
public struct AuthTokenOptions: Sendable, Equatable {
  public enum Kind: Sendable, Equatable {
    /// Nobody gets a token.
    case none
    case simple
    case jwt
  }

  public let kind: Kind
  /// Name of the signing method, as in `RS256`.
  public private(set) var signMethod = ""
  /// Path of a PEM file; empty = not given.
  public private(set) var publicKeyPath = ""
  public private(set) var privateKeyPath = ""
  /// Nanoseconds that a signed token is good for.
  public private(set) var lifetime: Int64 = 300_000_000_000
  /// Options that mean nothing.
  public private(set) var unknown: [String] = []

  /// Why the text asks for nothing that exists.
  public struct Failure: Error, Sendable, CustomStringConvertible {
    public let description = "auth: invalid auth options"
    /// What is wrong with them.
    public let reason: String
  }

  public init(parsing text: String) throws(Failure) {
    let words = text.split(separator: ",", omittingEmptySubsequences: false)
    switch words.first ?? "" {
    case "": kind = .none
    case "simple": kind = .simple
    case "jwt": kind = .jwt
    default: throw Failure(reason: "unknown token type \(GoQuote.text(String(words[0])))")
    }
    var options: [String: String] = [:]
    for word in words.dropFirst() {
      let pair = word.split(separator: "=", omittingEmptySubsequences: false).map(String.init)
      guard pair.count == 2, options.updateValue(pair[1], forKey: pair[0]) == nil else {
        throw Failure(reason: "invalid token option \(GoQuote.text(text))")
      }
    }
    guard kind == .jwt else { return }
    signMethod = options.removeValue(forKey: "sign-method") ?? ""
    publicKeyPath = options.removeValue(forKey: "pub-key") ?? ""
    privateKeyPath = options.removeValue(forKey: "priv-key") ?? ""
    if let given = options.removeValue(forKey: "ttl"), !given.isEmpty {
      do { lifetime = try GoDuration.parse(given) } catch { throw Failure(reason: error.message) }
    }
    unknown = options.keys.sorted()
  }
}
