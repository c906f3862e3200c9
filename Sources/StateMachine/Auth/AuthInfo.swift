import EtcdAPI

/// Who asks, and the auth revision at which that was established.
public struct AuthInfo: Sendable {
  public let username: String
  /// 0 when nobody is named.
  public let revision: UInt64

  public init(username: String, revision: UInt64) {
    self.username = username
    self.revision = revision
  }

  /// What the header of an entry says.
  public init(_ header: Etcdserverpb.RequestHeader?) {
    self.init(username: header?.username ?? "", revision: header?.authRevision ?? 0)
  }

  /// A request without a token.
  public static let nobody = AuthInfo(username: "", revision: 0)
}

/// What an auth change means for the tokens that members hand out.
public enum TokenEvent: Sendable {
  /// A user proved who it is; `prefix` and the entry's index make up the simple token.
  case assign(prefix: String, index: UInt64, user: String)
  /// Tokens of a user end.
  case invalidate(user: String)
  /// All tokens end.
  case invalidateAll
}

/// What an auth request returned.
public enum AuthResult: Sendable {
  case done
  case status(isEnabled: Bool, revision: UInt64)
  /// The user is known; its token is made from the entry's index or from the auth revision.
  case authenticated(index: UInt64, authRevision: UInt64)
  case roles([String])
  case users([String])
  case permissions([Authpb.Permission])
}
