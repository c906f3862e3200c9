/// Why the v2 store refused an operation.
///
/// - Source: etcd `v2error/error.go`.
public struct V2Error: Error, Hashable, Sendable, CustomStringConvertible {
  /// The reason, with etcd's number for it.
  public enum Code: Int, Sendable {
    case keyNotFound = 100
    case testFailed = 101
    case notFile = 102
    case notDirectory = 104
    case nodeExists = 105
    case rootReadOnly = 107
    case directoryNotEmpty = 108
    case invalidField = 209
  }

  public let code: Code
  /// The path, or the comparison that failed.
  public let cause: String
  /// The store's index at that time.
  public let index: UInt64

  init(_ code: Code, _ cause: String, index: UInt64) {
    self.code = code
    self.cause = cause
    self.index = index
  }

  /// etcd's words for the code.
  public var message: String {
    switch code {
    case .keyNotFound: "Key not found"
    case .testFailed: "Compare failed"
    case .notFile: "Not a file"
    case .notDirectory: "Not a directory"
    case .nodeExists: "Key already exists"
    case .rootReadOnly: "Root is read only"
    case .directoryNotEmpty: "Directory not empty"
    case .invalidField: "Invalid field"
    }
  }

  public var description: String { "\(message) (\(cause))" }
}
