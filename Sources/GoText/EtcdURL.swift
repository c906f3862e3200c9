/// A URL of a member, checked as etcd checks those of its flags and of its peers.
///
/// - Source: etcd `types.NewURLs`.
public struct EtcdURL: Sendable, Hashable, Comparable, CustomStringConvertible {
  /// What a member can listen on.
  public enum Scheme: String, Sendable {
    case http, https, unix, unixs

    /// A socket in the file system.
    public var isUnix: Bool { self == .unix || self == .unixs }
    public var isTLS: Bool { self == .https || self == .unixs }
  }

  public let scheme: Scheme
  /// `host:port` as given; host and path for unix sockets.
  public let address: String

  public var description: String { "\(scheme.rawValue)://\(address)" }
  public static func < (a: EtcdURL, b: EtcdURL) -> Bool {
    Array(a.description.utf8).lexicographicallyPrecedes(Array(b.description.utf8))
  }

  /// Why a URL was refused, in etcd's words.
  public struct Failure: Error, Equatable, CustomStringConvertible {
    public let message: String
    public var description: String { message }
  }

  /// Reads one URL; blanks around it are dropped.
  /// - Throws: `Failure` with etcd's message.
  public init(_ given: String) throws(Failure) {
    let text = Self.trimmed(given)
    let parts: GoURL
    do { parts = try GoURL(text) } catch { throw Failure(message: error.description) }
    guard let scheme = Scheme(rawValue: parts.scheme) else {
      throw Failure(message: "URL scheme must be http, https, unix, or unixs: \(text)")
    }
    self.scheme = scheme
    switch scheme {
    case .unix, .unixs: address = parts.host + parts.path
    case .http, .https:
      guard HostPort(parts.host) != nil else {
        throw Failure(message: "URL address does not have the form \"host:port\": \(text)")
      }
      guard parts.path.isEmpty else {
        throw Failure(message: "URL must not contain a path: \(text)")
      }
      address = parts.host
    }
  }

  /// Reads a comma separated list; the result is sorted.
  /// - Throws: `Failure` for the first URL that is none.
  public static func list(_ text: String) throws(Failure) -> [EtcdURL] {
    var all: [EtcdURL] = []
    for part in text.split(separator: ",", omittingEmptySubsequences: false) {
      all.append(try EtcdURL(String(part)))
    }
    return all.sorted()
  }

  /// Whether a list is not empty and holds only URLs that a member may have.
  public static func areValid(_ texts: [String]) -> Bool {
    !texts.isEmpty && texts.allSatisfy { (try? EtcdURL($0)) != nil }
  }

  /// Host and port; `nil` for unix sockets.
  public var hostPort: HostPort? {
    scheme.isUnix ? nil : HostPort(address)
  }

  private static func trimmed(_ text: String) -> String {
    let isSpace: (Character) -> Bool = { $0.isWhitespace }
    let start = text.drop(while: isSpace)
    return String(start.reversed().drop(while: isSpace).reversed())
  }
}
