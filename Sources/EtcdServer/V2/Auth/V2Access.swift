import Bytes
import EtcdConfig
import EventLoops
import HTTP

/// Who a request of the v2 API comes from, and what it may.
///
/// - Source: etcd `v2http/client_auth.go`.
struct V2Access: Sendable {
  let store: V2AuthStore

  /// What a request says of who sends it.
  private enum Credentials {
    case none
    /// A header that cannot be understood.
    case malformed
    case basic(name: String, password: String)
    case certificate(commonName: String)
  }

  private func credentials(_ exchange: HTTPExchange) -> Credentials {
    guard let header = exchange.request.headers["authorization"], !header.isEmpty else {
      guard store.member.config.clientTLS.certificateAuth,
        let certificate = exchange.channel?.peerCertificate
      else { return .none }
      return .certificate(commonName: certificate.commonName)
    }
    let prefix = "basic "
    guard header.lowercased().hasPrefix(prefix),
      let pair = Base64.standard.decode(Bytes(String(header.dropFirst(prefix.count)))),
      let colon = pair.string.firstIndex(of: ":")
    else { return .malformed }
    let text = pair.string
    return .basic(
      name: String(text[..<colon]), password: String(text[text.index(after: colon)...]))
  }

  /// The user, once it is known to be the one it says; `nil` for nobody known.
  private func user(_ credentials: Credentials) async -> V2User? {
    switch credentials {
    case .none, .malformed: return nil
    case .certificate(let name): return try? await store.user(name)
    case .basic(let name, let password):
      guard let user = try? await store.user(name) else { return nil }
      return await store.check(password, of: user) ? user : nil
    }
  }

  /// Whether it comes from somebody with the role root, or nobody is asked.
  func isRoot(_ exchange: HTTPExchange) async -> Bool {
    guard store.isEnabled else { return true }
    return (await user(credentials(exchange))?.roles ?? []).contains(V2Role.root.name)
  }

  /// Whether the sender may read or write a key, or everything below it; a request without a name has what guests
  /// have, for the key alone.
  func allows(_ exchange: HTTPExchange, _ key: String, isRecursive: Bool) async -> Bool {
    guard store.isEnabled else { return true }
    let isWrite = !["GET", "HEAD"].contains(exchange.request.method)
    let given = credentials(exchange)
    guard let user = await user(given) else {
      switch given {
      case .basic, .malformed: return false
      case .none, .certificate:
        let guest = try? await store.role(V2Role.guest.name)
        return guest?.allows(key, isWrite: isWrite, isRecursive: false) ?? false
      }
    }
    for name in user.roles ?? [] {
      guard let role = try? await store.role(name) else { continue }
      if role.allows(key, isWrite: isWrite, isRecursive: isRecursive) { return true }
    }
    return false
  }
}
