/// What a discovery service keeps for one cluster. Every call waits for its answer.
package protocol Registry {
  /// How logs call it.
  var name: String { get }
  /// What an entry is that names no URLs.
  var badEntry: DiscoveryFailure { get }
  /// The size that was asked for, and who has come.
  func roll() throws(RegistryProblem) -> Roll
  /// Enters a member, which is there when this returns.
  /// - Throws: `.final(.duplicateID)` when it was there before.
  func enter(_ id: String, _ value: String) throws(RegistryProblem)
  /// The next who comes behind an index, and the index to go on from; nobody when none came for some time.
  func next(
    after index: UInt64
  ) throws(RegistryProblem) -> (entry: RegistryEntry?, index: UInt64)
}

/// One member of a cluster that is yet to be.
package struct RegistryEntry: Equatable, Sendable {
  /// The member's id in hexadecimal digits.
  package let id: String
  /// `name=url,name=url`.
  package let value: String
  /// Who came first has the smallest.
  package let index: UInt64

  package init(id: String, value: String, index: UInt64) {
    self.id = id
    self.value = value
    self.index = index
  }
}

/// What a registry has at one time.
package struct Roll: Equatable, Sendable {
  /// As it stands there.
  package let size: String
  package let entries: [RegistryEntry]
  /// Of the time it was read.
  package let index: UInt64

  package init(size: String, entries: [RegistryEntry], index: UInt64) {
    self.size = size
    self.entries = entries
    self.index = index
  }
}

/// Why a registry gave no answer.
package enum RegistryProblem: Error, Equatable {
  /// Worth another attempt. - Parameter path: what was asked for.
  case away(path: String, error: String, detail: String)
  case final(DiscoveryFailure)
}
