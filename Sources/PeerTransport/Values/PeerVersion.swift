/// Major and minor number of a server or cluster version; the patch does not matter to peers.
struct PeerVersion: Comparable, Sendable {
  var major: Int
  var minor: Int

  /// What a peer that sends no version is taken for.
  static let unspecified = PeerVersion(major: 2, minor: 0)

  /// Parses `3.5.1`, `3.6.0-rc.0` or `3.4.0+git`; an absent header is `unspecified`.
  /// - Returns: `nil` for malformed text.
  static func header(_ text: String?) -> PeerVersion? {
    guard let text, !text.isEmpty else { return unspecified }
    return PeerVersion(text)
  }

  init(major: Int, minor: Int) {
    self.major = major
    self.minor = minor
  }

  init?(_ text: String) {
    let core = text.prefix { $0 != "-" && $0 != "+" }
    let parts = core.split(separator: ".", omittingEmptySubsequences: false)
    guard parts.count == 3, parts.allSatisfy(Self.isNumber),
      let major = Int(parts[0]), let minor = Int(parts[1])
    else { return nil }
    self.init(major: major, minor: minor)
  }

  private static func isNumber(_ text: Substring) -> Bool {
    (1...9).contains(text.utf8.count) && text.utf8.allSatisfy { $0 >= 0x30 && $0 <= 0x39 }
  }

  static func < (a: PeerVersion, b: PeerVersion) -> Bool {
    (a.major, a.minor) < (b.major, b.minor)
  }

  /// Whether a server of this version has both streams: all since 2.1.
  var supportsStreams: Bool { self >= PeerVersion(major: 2, minor: 1) }
}

/// Why two versions cannot work together.
enum VersionConflict: Error, CustomStringConvertible {
  case remoteTooLow(name: String, remote: String, local: String)
  case localTooLow(name: String, remote: String, local: String)
  case malformed(String)

  var description: String {
    switch self {
    case .remoteTooLow(let name, let remote, let local):
      "remote version is too low: remote[\(name)]=\(remote), local=\(local)"
    case .localTooLow(let name, let remote, let local):
      "local version is too low: remote[\(name)]=\(remote), local=\(local)"
    case .malformed(let text): "malformed version \(text)"
    }
  }
}
