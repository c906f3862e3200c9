import Checkers

/// One request of one client of a scenario, from call to return. Times are nanoseconds since the load began, no
/// two alike. Pure.
struct HistoryOperation: Sendable, Equatable {
  enum Action: Sendable, Equatable {
    case put(key: String, value: Int)
    case delete(key: String)
    /// Writes `value` if the key has the value `expected`, or none for 0.
    case compare(key: String, expected: Int, value: Int)
    /// Reads keys.
    case read([String])
    /// Puts an element into the set.
    case add(Int)
    /// Reads the whole set.
    case members
    /// Makes a lease with a key, or renews it, for so many seconds.
    case grant(lease: Int64, seconds: Int)
    case renew(lease: Int64, seconds: Int)
    /// Looks whether the key of a lease is there.
    case look(lease: Int64)
    case lock(name: String)
    case unlock(name: String, token: Int64)
    /// Writes under a lock, if it is held.
    case guarded(name: String, token: Int64)
  }

  enum Outcome: Sendable, Equatable {
    /// A write made a revision.
    case wrote(revision: Int64)
    /// A comparison did not hold, or there was nothing to delete.
    case unchanged(revision: Int64)
    case found(revision: Int64, [String: SeenValue])
    case elements(revision: Int64, [Int])
    /// A lease, or its key, is there, or it is not.
    case isThere(Bool)
    case locked(token: Int64)
    /// It did nothing, and never will.
    case failed(String)
    /// It may have happened, or may still.
    case unknown(String)
  }

  var client: Int
  /// The member that was asked.
  var member: String
  var action: Action
  var called: Int
  /// When the answer came, or the client gave up.
  var ended: Int
  var outcome: Outcome
  /// Whole lists by key, of `read`.
  var lists: [String: [Int]] = [:]
  /// Of `unlock`: until when the client could be sure to hold the lock.
  var heldUntil: Int?

  /// Whether there was an answer that counts.
  var isAcknowledged: Bool {
    switch outcome {
    case .failed, .unknown: false
    default: true
    }
  }
}

extension HistoryOperation: ClientOperation {
  var returned: Int? {
    if case .unknown = outcome { return nil }
    return ended
  }

  var result: OperationResult? {
    switch outcome {
    case .wrote(let revision): .wrote(revision: revision)
    case .unchanged(let revision), .elements(let revision, _): .unchanged(revision: revision)
    case .found(let revision, let values): .read(revision: revision, values: values)
    case .isThere, .locked, .failed: .refused
    case .unknown: nil
    }
  }

  var isWrite: Bool {
    switch action {
    case .put, .delete, .compare, .add, .guarded: true
    case .read, .members, .grant, .renew, .look, .lock, .unlock: false
    }
  }

  var isLinearizable: Bool { true }

  var effects: [(key: String, value: Int)] {
    switch action {
    case .put(let key, let value), .compare(let key, _, let value): [(key, value)]
    case .delete(let key): [(key, 0)]
    case .add(let element): [(Self.setPrefix + String(element), element)]
    default: []
    }
  }

  /// What the keys of the set begin with.
  static let setPrefix = "set/"

  func step(on key: String) -> RegisterChecker.Step? {
    if case .failed = outcome { return nil }
    let action: RegisterChecker.Action
    switch (self.action, outcome) {
    case (.put(key, let value), _): action = .write(value)
    case (.delete(key), .wrote): action = .delete(existed: true)
    case (.delete(key), .unchanged): action = .delete(existed: false)
    case (.delete(key), _): action = .delete(existed: nil)
    case (.compare(key, let expected, let new), .wrote):
      action = .compareAndPut(expected: expected, new: new, succeeded: true)
    case (.compare(key, let expected, let new), .unchanged):
      action = .compareAndPut(expected: expected, new: new, succeeded: false)
    case (.compare(key, let expected, let new), _):
      action = .compareAndPut(expected: expected, new: new, succeeded: nil)
    case (.read, .found(_, let values)):
      guard let seen = values[key] else { return nil }
      action = .read(seen.value)
    default: return nil
    }
    var order: Int64?
    if case .wrote(let revision) = outcome { order = revision }
    return RegisterChecker.Step(action: action, called: called, returned: returned, order: order)
  }

  /// Keys that it concerns as registers.
  var registers: [String] {
    switch action {
    case .put(let key, _), .delete(let key), .compare(let key, _, _): [key]
    case .read(let keys): keys
    default: []
    }
  }
}

extension HistoryOperation: CustomStringConvertible {
  /// For people.
  var description: String {
    "client \(client) at \(member) \(Self.seconds(called))–\(Self.seconds(ended)) s: \(asked) → \(told)"
  }

  static func seconds(_ nanoseconds: Int) -> String {
    let milliseconds = nanoseconds / 1_000_000
    let rest = String(abs(milliseconds % 1000))
    return "\(milliseconds / 1000).\(String(repeating: "0", count: 3 - rest.count))\(rest)"
  }

  /// What was asked.
  var asked: String {
    switch action {
    case .put(let key, let value): "put \(key) = \(value)"
    case .delete(let key): "delete \(key)"
    case .compare(let key, let expected, let value): "\(key) = \(value) if it is \(expected)"
    case .read(let keys): "read \(keys.joined(separator: ", "))"
    case .add(let element): "add \(element)"
    case .members: "read the set"
    case .grant(let lease, let seconds): "lease \(String(lease, radix: 16)) for \(seconds) s"
    case .renew(let lease, let seconds): "renew \(String(lease, radix: 16)) for \(seconds) s"
    case .look(let lease): "look for the key of \(String(lease, radix: 16))"
    case .lock(let name): "lock \(name)"
    case .unlock(let name, let token): "unlock \(name) of \(token)"
    case .guarded(let name, let token): "write under \(name) of \(token)"
    }
  }

  /// What the answer was.
  var told: String {
    switch outcome {
    case .wrote(let revision): "revision \(revision)"
    case .unchanged(let revision): "nothing to do at \(revision)"
    case .found(let revision, let values):
      values.sorted { $0.key < $1.key }.map { "\($0.key) is \($0.value.value)" }
        .joined(separator: ", ") + " at \(revision)"
    case .elements(let revision, let elements): "\(elements.count) elements at \(revision)"
    case .isThere(let isThere): isThere ? "there" : "gone"
    case .locked(let token): "held with \(token)"
    case .failed(let reason): "refused: \(reason)"
    case .unknown(let reason): "unknown: \(reason)"
    }
  }
}
