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
    case unauthorized = 110
    case previousValueRequired = 201
    case ttlNotANumber = 202
    case indexNotANumber = 203
    case invalidField = 209
    case invalidForm = 210
    case valueOnRefresh = 211
    case ttlRequiredOnRefresh = 212
    case raftInternal = 300
    case eventCleared = 401
  }

  public let code: Code
  /// The path, or the comparison that failed.
  public let cause: String
  /// The store's index at that time.
  public let index: UInt64

  public init(_ code: Code, _ cause: String, index: UInt64 = 0) {
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
    case .unauthorized: "The request requires user authentication"
    case .previousValueRequired: "PrevValue is Required in POST form"
    case .ttlNotANumber: "The given TTL in POST form is not a number"
    case .indexNotANumber: "The given index in POST form is not a number"
    case .invalidField: "Invalid field"
    case .invalidForm: "Invalid POST form"
    case .valueOnRefresh: "Value provided on refresh"
    case .ttlRequiredOnRefresh: "A TTL must be provided on refresh"
    case .raftInternal: "Raft Internal Error"
    case .eventCleared: "The event in requested index is outdated and cleared"
    }
  }

  /// Status of the answer over HTTP.
  /// - Source: etcd `v2error.errorStatus`.
  public var httpStatus: Int {
    switch code {
    case .keyNotFound: 404
    case .notFile, .directoryNotEmpty: 403
    case .unauthorized: 401
    case .testFailed, .nodeExists: 412
    case .raftInternal: 500
    default: 400
    }
  }

  public var description: String { "\(message) (\(cause))" }
}
