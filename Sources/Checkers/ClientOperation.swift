/// A key's value as a read returned it.
public struct SeenValue: Sendable, Hashable {
  /// 0 when the key did not exist.
  public let value: Int
  /// Revision of the key's last change; 0 when it did not exist.
  public let modified: Int64

  public init(value: Int, modified: Int64) {
    self.value = value
    self.modified = modified
  }
}

/// What a client was told.
public enum OperationResult: Sendable, Hashable {
  /// The write made a revision.
  case wrote(revision: Int64)
  /// A delete that found nothing, or a comparison that did not hold.
  case unchanged(revision: Int64)
  /// Values of all keys asked for, keys without a value included.
  case read(revision: Int64, values: [String: SeenValue])
  /// The request was refused and never enters the log.
  case refused

  /// Revision in the answer.
  public var revision: Int64? {
    switch self {
    case .wrote(let revision), .unchanged(let revision), .read(let revision, _): revision
    case .refused: nil
    }
  }
}

/// One request of one client, from call to return, as checkers see it.
public protocol ClientOperation: Sendable {
  /// Position in the order of all calls and returns, or a time.
  var called: Int { get }
  /// `nil` while, or for ever when, the outcome is unknown.
  var returned: Int? { get }
  /// `nil` when the outcome is unknown.
  var result: OperationResult? { get }
  /// Whether the request changes data when it takes effect.
  var isWrite: Bool { get }
  /// Whether the request is bound to the order of real time.
  var isLinearizable: Bool { get }
  /// The value that a successful write leaves under each key it names; 0 = none.
  var effects: [(key: String, value: Int)] { get }
  /// What it does to one key; `nil` when it does not concern the key or does not count.
  func step(on key: String) -> RegisterChecker.Step?
}

/// Something that a history shows and that may not be.
public struct HistoryProblem: Sendable, Equatable, CustomStringConvertible {
  /// A sentence.
  public let text: String
  /// The least that shows it: positions in the history.
  public let operations: [Int]
  /// Whether it may be, or may not: nobody could tell.
  public let isUndecided: Bool
  public var description: String { text }

  public init(_ text: String, _ operations: [Int] = [], isUndecided: Bool = false) {
    self.text = text
    self.operations = operations
    self.isUndecided = isUndecided
  }
}
