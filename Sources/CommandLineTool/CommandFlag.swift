import GoText

/// A flag of a command.
public struct CommandFlag: Sendable {
  public let name: String
  /// One letter for `-w`.
  public let shorthand: Character?
  public let kind: FlagKind
  /// Value when the flag is not given, as text.
  public let fallback: String
  /// Description; a word in back quotes names the value.
  public let usage: String
  public var isRequired = false
  public var isHidden = false
  /// Values to offer when a shell completes the flag.
  public var choices: [String] = []

  public init(
    _ name: String, shorthand: Character? = nil, _ kind: FlagKind, default fallback: String? = nil,
    _ usage: String
  ) {
    self.name = name
    self.shorthand = shorthand
    self.kind = kind
    self.fallback = fallback ?? kind.zero
    self.usage = usage
  }
}

/// A type of flag values. Programs may add their own.
public struct FlagKind: Sendable {
  /// What the usage calls the value; empty for a flag that stands alone.
  public let typeName: String
  /// The default that is not worth mentioning.
  public let zero: String
  /// Value of the flag when it stands alone; `nil` when the next word is its value.
  public let bare: String?
  /// Whether a default is shown in quotes.
  public let isQuoted: Bool
  /// Whether the flag may be given several times, its values being put together with commas.
  public var isList = false
  /// Why a text is no such value; `nil` when it is one.
  public let problem: @Sendable (String) -> String?

  public init(
    typeName: String, zero: String, bare: String? = nil, isQuoted: Bool = false,
    problem: @escaping @Sendable (String) -> String?
  ) {
    self.typeName = typeName
    self.zero = zero
    self.bare = bare
    self.isQuoted = isQuoted
    self.problem = problem
  }

  public static let string = FlagKind(typeName: "string", zero: "", isQuoted: true) { _ in nil }

  /// Any text, and the flag may be given several times (`Invocation.all`); commas are part of it.
  /// - Source: pflag `StringArray`.
  public static let stringArray = FlagKind(typeName: "stringArray", zero: "") { _ in nil }

  /// Words between commas.
  public static let strings: FlagKind = {
    var kind = FlagKind(typeName: "strings", zero: "") { _ in nil }
    kind.isList = true
    return kind
  }()

  /// A time as Go writes it: `1m30s`.
  public static let duration = FlagKind(typeName: "duration", zero: "0s") { text in
    do throws(GoDuration.Failure) { _ = try GoDuration.parse(text) } catch {
      return error.message
    }
    return nil
  }

  public static let bool = FlagKind(typeName: "", zero: "false", bare: "true") { text in
    GoNumber.bool(text) == nil ? GoNumber.refusal(.syntax, of: text, by: "ParseBool") : nil
  }

  public static let unsigned = FlagKind(typeName: "uint", zero: "0") { text in
    do throws(GoNumber.Failure) { _ = try GoNumber.unsigned(text) } catch {
      return GoNumber.refusal(error, of: text, by: "ParseUint")
    }
    return nil
  }

  /// A number of 32 bits.
  public static let unsigned32 = FlagKind(typeName: "uint32", zero: "0") { text in
    do throws(GoNumber.Failure) { _ = try GoNumber.unsigned(text, max: UInt64(UInt32.max)) } catch {
      return GoNumber.refusal(error, of: text, by: "ParseUint")
    }
    return nil
  }

  public static let signed = FlagKind(typeName: "int", zero: "0") { text in
    do throws(GoNumber.Failure) { _ = try GoNumber.signed(text) } catch {
      return GoNumber.refusal(error, of: text, by: "ParseInt")
    }
    return nil
  }
}
