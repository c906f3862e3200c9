/// A value of a YAML document, with the place where it stands.
public struct YAMLNode: Sendable, Equatable {
  /// A place in a text; both count from 1.
  public struct Mark: Sendable, Hashable {
    public let line: Int
    public let column: Int

    public init(line: Int, column: Int) {
      self.line = line
      self.column = column
    }
  }

  public enum Content: Sendable, Equatable {
    case scalar(YAMLScalar)
    case list([YAMLNode])
    /// Pairs in the order of the document; keys may come more than once.
    case mapping([Entry])
  }

  /// A key with its value.
  public struct Entry: Sendable, Equatable {
    public let key: YAMLNode
    public let value: YAMLNode
  }

  public let mark: Mark
  public let content: Content
}

/// What a scalar means.
public enum YAMLScalar: Sendable, Equatable {
  case null
  case bool(Bool)
  /// A whole number: its magnitude, and whether it stands below zero.
  case integer(UInt64, isNegative: Bool)
  /// Any other number, those too large for 64 bits among them.
  case number(Double)
  case text(String)
}

/// Why a text is no document that can be used.
public struct YAMLError: Error, Sendable, Equatable {
  public let mark: YAMLNode.Mark
  public let message: String

  public init(_ mark: YAMLNode.Mark, _ message: String) {
    self.mark = mark
    self.message = message
  }
}
