import GoText

/// One flag of the server: everything about it is declared here, once.
struct Flag: Sendable {
  /// Sections of the help.
  enum Group: String, CaseIterable, Sendable {
    case file = "Configuration"
    case member = "Member"
    case clustering = "Clustering"
    case security = "Security"
    case auth = "Auth"
    case monitoring = "Profiling and Monitoring"
    case logging = "Logging"
    case tracing = "Experimental distributed tracing"
    case proxy = "v2 Proxy (to be deprecated in v3.6)"
    case experimental = "Experimental feature"
    case later = "Names since etcd 3.6"
    case unsafe = "Unsafe feature"
    /// Not shown.
    case hidden = ""
  }

  /// How a value is read.
  enum Kind: Sendable {
    case text
    case bool
    case unsigned
    /// As wide as `UInt32`; has an error text of its own.
    case unsigned32
    case signed
    case duration
    /// Comma separated URLs; the exceptions are taken as they are.
    case urls(exceptions: [String])
    /// One of these; the reason of a refusal repeats the word when `quoting`.
    case choice([String], quoting: Bool = false)
    /// Comma separated words.
    case words
    /// Takes any value, as a boolean flag, and does nothing but warn.
    case retired
  }

  /// What this version makes of a flag.
  enum Support: Sendable {
    case full
    /// Understood, but has nothing to act on here; a note says so.
    case noEffect(String)
  }

  let name: String
  let group: Group
  let kind: Kind
  /// The value when not given, as text.
  let fallback: String
  let help: String
  let support: Support
  let apply: @Sendable (inout Settings, FlagValue) -> Void
  /// The flag that this is another name of.
  var sameAs: String?

  init(
    _ name: String, _ group: Group, _ kind: Kind, _ fallback: String, _ help: String,
    _ support: Support = .full,
    apply: @escaping @Sendable (inout Settings, FlagValue) -> Void = { _, _ in }
  ) {
    self.name = name
    self.group = group
    self.kind = kind
    self.fallback = fallback
    self.help = help
    self.support = support
    self.apply = apply
  }

  /// Name of the environment variable with the same meaning.
  var environmentName: String {
    "ETCD_" + name.uppercased().map { $0 == "-" ? "_" : String($0) }.joined()
  }

  /// Whether the flag stands without a value.
  var isBare: Bool {
    switch kind {
    case .bool, .retired: true
    default: false
    }
  }

  /// Why a value was refused.
  struct Failure: Error, Equatable { let message: String }

  /// Reads a value.
  /// - Throws: `Failure` with the reason alone.
  func read(_ text: String) throws(Failure) -> FlagValue {
    switch kind {
    case .text: return .text(text)
    case .retired: return .text(text)
    case .words: return .words(Self.uniqueWords(text))
    case .bool:
      guard let value = GoNumber.bool(text) else { throw Failure(message: "parse error") }
      return .bool(value)
    case .unsigned:
      do { return .unsigned(try GoNumber.unsigned(text)) } catch { throw Self.failure(error) }
    case .signed:
      do { return .signed(try GoNumber.signed(text)) } catch { throw Self.failure(error) }
    case .unsigned32:
      do {
        return .unsigned(try GoNumber.unsigned(text, max: UInt64(UInt32.max)))
      } catch {
        throw Failure(message: GoNumber.refusal(error, of: text, by: "ParseUint"))
      }
    case .duration:
      guard let value = try? GoDuration.parse(text) else { throw Failure(message: "parse error") }
      return .duration(value)
    case .choice(let valid, let quoting):
      guard valid.contains(text) else {
        throw Failure(message: "invalid value" + (quoting ? " " + GoQuote.text(text) : ""))
      }
      return .text(text)
    case .urls(let exceptions):
      if exceptions.contains(text) { return .exception(text) }
      do { return .urls(try EtcdURL.list(text)) } catch { throw Failure(message: error.message) }
    }
  }

  private static func failure(_ error: GoNumber.Failure) -> Failure {
    Failure(message: error == .syntax ? "parse error" : "value out of range")
  }

  /// The words in order, each once.
  private static func uniqueWords(_ text: String) -> [String] {
    var seen: Set<String> = []
    return text.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
      .filter { seen.insert($0).inserted }
  }
}

/// A value of a flag.
enum FlagValue: Equatable, Sendable {
  case text(String)
  case bool(Bool)
  case unsigned(UInt64)
  case signed(Int64)
  /// Nanoseconds.
  case duration(Int64)
  case urls([EtcdURL])
  /// A word that stands for itself in a list of URLs.
  case exception(String)
  case words([String])

  var text: String {
    switch self {
    case .text(let value), .exception(let value): value
    default: ""
    }
  }
  var bool: Bool { self == .bool(true) }
  var words: [String] { if case .words(let value) = self { value } else { [] } }
  /// The words but empty ones.
  var names: [String] { words.filter { !$0.isEmpty } }
  /// Clamped to what fits.
  var unsigned: UInt64 {
    switch self {
    case .unsigned(let value): value
    case .signed(let value): UInt64(clamping: value)
    default: 0
    }
  }
  var int: Int { Int(clamping: unsigned) }
  var signed: Int64 { if case .signed(let value) = self { value } else { 0 } }
  /// Rounded away from zero, so that a positive time stays one.
  var milliseconds: Int {
    guard case .duration(let value) = self else { return 0 }
    let rounded = value / 1_000_000 + (value % 1_000_000).signum()
    return Int(clamping: rounded)
  }
  /// Milliseconds as a duration, at most ten years.
  var span: Duration { .milliseconds(min(Int64(clamping: unsigned), 10 * 365 * 86_400_000)) }
  /// A duration; zero when the value is none.
  var time: Duration { if case .duration(let value) = self { .nanoseconds(value) } else { .zero } }
  /// The URLs, each once; `nil` when the value leaves the default alone.
  var uniqueURLs: [EtcdURL]? {
    guard case .urls(let urls) = self else { return nil }
    return urls.enumerated().filter { $0.offset == 0 || urls[$0.offset - 1] != $0.element }
      .map(\.element)
  }
}
