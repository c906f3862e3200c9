/// All that clients of a scenario did and saw, and what happened meanwhile. Pure.
struct History: Sendable, Equatable {
  var header = Header()
  var operations: [HistoryOperation] = []
  var watches: [WatchRecord] = []
  var events: [HistoryEvent] = []
  var end: End?

  /// What was run.
  struct Header: Sendable, Equatable {
    var scenario = ""
    var seed: UInt64 = 0
    var load = ""
    /// The command that does the same again.
    var command = ""
    /// RFC 3339.
    var started = ""
    /// Names of the members in the beginning.
    var members: [String] = []
    var expect = Scenario.Expectations()
  }

  /// What a watcher was told at once.
  struct WatchRecord: Sendable, Equatable {
    var client: Int
    var member: String
    var time: Int
    /// The first revision that it wants; of the first record alone.
    var from: Int64?
    var changes: [Change] = []
    /// Whether it has seen the last write of the scenario.
    var isWhole = false
  }

  /// A key that got a value, or lost it (0), at a revision.
  struct Change: Sendable, Equatable {
    var revision: Int64
    var key: String
    var value: Int
  }

  /// How it ended.
  struct End: Sendable, Equatable {
    /// When the clients stopped, and when the cluster was settled.
    var loadEnded: Int
    var time: Int
    /// Why the cluster did not settle; `nil` when it did.
    var failure: String?
    var hashes: [Hash] = []
  }

  /// What a member hashes.
  struct Hash: Sendable, Equatable {
    var member: String
    var revision: Int64
    var hash: UInt32
  }
}

/// Something that happened to the cluster of a scenario.
struct HistoryEvent: Sendable, Equatable {
  /// Nanoseconds; of an order, when it was given.
  var time: Int
  /// `order`, or as in the log of events.
  var kind: String
  var member: String?
  var text: String
  /// Of an order: when it was carried out.
  var answered: Int?
  /// Of a fault: when it ends by itself, at the earliest.
  var until: Int?
  /// Links that are cut from then on, `m1->m2`.
  var cuts: [String] = []

  init(_ kind: String, at time: Int, _ text: String, member: String? = nil) {
    self.kind = kind
    self.time = time
    self.text = text
    self.member = member
  }

  /// Ends all faults, so that nobody is cut off.
  static let heal = "heal-all"
  /// A step of the file could not be done.
  static let refused = "refused"
}
