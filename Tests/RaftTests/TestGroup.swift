import Bytes
import EtcdAPI

@testable import Raft

/// Members over a faultless network in one thread; links can be cut.
struct TestGroup {
  var members: [UInt64: RawNode<MemoryStorage>] = [:]
  var network: [Raftpb.Message] = []
  /// Members whose messages, both ways, are lost.
  var isolated: Set<UInt64> = []
  var applied: [UInt64: [Raftpb.Entry]] = [:]
  var readStates: [UInt64: [ReadState]] = [:]
  /// Messages that were delivered.
  var delivered: [Raftpb.Message] = []

  init(
    _ ids: [UInt64], learners: [UInt64] = [], configure: (inout RaftConfig) -> Void = { _ in }
  ) throws {
    for id in ids + learners {
      var storage = MemoryStorage()
      let state = Raftpb.ConfState(voters: ids, learners: learners)
      try storage.applySnapshot(
        Raftpb.Snapshot(
          metadata: Raftpb.SnapshotMetadata(confState: state, index: 1, term: 1)))
      var config = RaftConfig(id: id, random: SplitMix64(seed: id))
      configure(&config)
      members[id] = try RawNode(config, storage: storage)
    }
  }

  subscript(id: UInt64) -> RawNode<MemoryStorage> {
    get { members[id]! }
    _modify { yield &members[id]! }
  }

  /// Handles one member's `Ready`; returns it.
  @discardableResult
  mutating func work(_ id: UInt64) throws -> Ready? {
    guard self[id].hasReady else { return nil }
    let ready = self[id].ready()
    if let state = ready.hardState { self[id].storage.hardState = state }
    if let snapshot = ready.snapshot { try self[id].storage.applySnapshot(snapshot) }
    self[id].storage.append(ready.entries)
    network += ready.messages
    for entry in ready.committedEntries {
      if let change = try entry.confChange() { try self[id].applyConfChange(change) }
      applied[id, default: []].append(entry)
    }
    readStates[id, default: []] += ready.readStates
    self[id].advance()
    return ready
  }

  /// Works and delivers until nothing is left to do.
  mutating func settle() throws {
    var isBusy = true
    while isBusy {
      isBusy = false
      for id in members.keys.sorted() {
        while try work(id) != nil { isBusy = true }
      }
      let messages = network
      network = []
      for message in messages {
        isBusy = true
        if isolated.contains(message.from) || isolated.contains(message.to) { continue }
        delivered.append(message)
        try? members[message.to]?.step(message)  // Refusals are the receiver's right.
      }
    }
  }

  mutating func elect(_ id: UInt64) throws {
    self[id].campaign()
    try settle()
  }

  mutating func tick(_ id: UInt64, _ count: Int) throws {
    for _ in 0..<count {
      self[id].tick()
      try settle()
    }
  }

  func role(_ id: UInt64) -> RaftRole { self[id].core.role }
  func term(_ id: UInt64) -> UInt64 { self[id].core.term }
  func committed(_ id: UInt64) -> UInt64 { self[id].core.log.committed }
  func payloads(_ id: UInt64) -> [String] {
    (applied[id] ?? []).filter { $0.type == .normal && !$0.data.isEmpty }.map(\.data.string)
  }
}

/// A member whose log has entries of the given terms from index 1 on, alone with the network.
func member(
  _ id: UInt64, of ids: [UInt64], terms: [UInt64], state: Raftpb.HardState = .init()
) throws -> RawNode<MemoryStorage> {
  var storage = MemoryStorage()
  try storage.applySnapshot(
    Raftpb.Snapshot(
      metadata: Raftpb.SnapshotMetadata(confState: Raftpb.ConfState(voters: ids))))
  storage.append(
    terms.enumerated().map { Raftpb.Entry(term: $1, index: UInt64($0 + 1)) })
  storage.hardState = state
  return try RawNode(RaftConfig(id: id), storage: storage)
}

extension RawNode<MemoryStorage> {
  /// Handles all work and returns the messages.
  mutating func drain() -> [Raftpb.Message] {
    var messages: [Raftpb.Message] = []
    while hasReady {
      let ready = ready()
      if let state = ready.hardState { storage.hardState = state }
      storage.append(ready.entries)
      messages += ready.messages
      advance()
    }
    return messages
  }
}
