import Auth
import Bytes
import EtcdAPI
import EventLoops
import FileSystem
import MVCC
import Member
import MemberStorage
import Membership
import Protobuf
import Raft
import Synchronization
import TestSupport
import Testing

@testable import EtcdServer

/// A disk whose database file cannot be made durable for a while; the log's files can.
private final class StallingFileSystem: FileSystem {
  private let real = RealFileSystem()
  private let gate = Mutex<Gate?>(nil)
  private let waiting = Mutex(0)

  /// Calls that wait.
  var stalled: Int { waiting.withLock { $0 } }

  /// From now on fsyncs of the database wait for `release`.
  func stall() { gate.withLock { $0 = Gate() } }

  func release() {
    gate.withLock { gate in
      gate?.open()
      gate = nil
    }
  }

  fileprivate func pass(_ path: String) {
    guard path.hasSuffix("/db"), let gate = gate.withLock({ $0 }) else { return }
    waiting.withLock { $0 += 1 }
    gate.wait()
    waiting.withLock { $0 -= 1 }
  }

  func open(_ path: String, _ mode: OpenMode) throws(FileError) -> any StorageFile {
    StallingFile(try real.open(path, mode), self)
  }
  func list(_ directory: String) throws(FileError) -> [String] { try real.list(directory) }
  func kind(_ path: String) throws(FileError) -> FileKind? { try real.kind(path) }
  func makeDirectory(_ path: String, permissions: UInt32) throws(FileError) {
    try real.makeDirectory(path, permissions: permissions)
  }
  func rename(_ from: String, to: String) throws(FileError) { try real.rename(from, to: to) }
  func remove(_ path: String) throws(FileError) { try real.remove(path) }
  func syncDirectory(_ path: String) throws(FileError) { try real.syncDirectory(path) }
}

private final class StallingFile: StorageFile {
  private let file: any StorageFile
  private let fileSystem: StallingFileSystem
  var path: String { file.path }

  init(_ file: any StorageFile, _ fileSystem: StallingFileSystem) {
    self.file = file
    self.fileSystem = fileSystem
  }

  func size() throws(FileError) -> Int { try file.size() }
  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) throws(FileError) -> Int {
    try file.read(into: buffer, at: offset)
  }
  func write(_ memory: UnsafeRawBufferPointer, at offset: Int) throws(FileError) {
    try file.write(memory, at: offset)
  }
  func truncate(to size: Int) throws(FileError) { try file.truncate(to: size) }
  func allocate(to size: Int) throws(FileError) { try file.allocate(to: size) }
  func syncData() throws(FileError) {
    fileSystem.pass(path)
    try file.syncData()
  }
  func sync() throws(FileError) {
    fileSystem.pass(path)
    try file.sync()
  }
  func tryLock() throws(FileError) -> Bool { try file.tryLock() }
  func map(length: Int) throws(FileError) -> any FileMapping { try file.map(length: length) }
  func close() { file.close() }
}

/// Gathers answers.
private final class Answers: MemberHostDelegate {
  private let found = Mutex<[RequestID: Outcome]>([:])

  func outcome(_ id: RequestID) -> Outcome? { found.withLock { $0[id] } }

  func answer(_ replies: [Reply], _ reads: [ReadBatch], term: Term) {
    found.withLock { found in for reply in replies { found[reply.id] = reply.outcome } }
  }
  func send(_ messages: [Raftpb.Message]) {}
  func send(_ snapshots: [SnapshotSend]) {}
  func authChanged(_ store: AuthStore?, _ events: [TokenEvent]) {}
  func tell(_ rows: NewRows, _ state: () -> StoreSnapshot) {}
  func v2Changed(_ news: V2News) {}
  func membershipChanged(_ changes: [Membership.Change]) {}
  func leaderChanged(to leader: MemberID) {}
  func clusterVersionChanged(to version: String) {}
  func downgradeChanged(to downgrade: Downgrade) {}
  func compactionBegan(_ compaction: UnhashedCompaction) {}
  func removedFromCluster() {}
}

@Suite struct StalledBackendTests {
  private func makeHost(
    _ fileSystem: StallingFileSystem, _ scratch: Scratch
  ) throws -> MemberHost {
    let directory = MemberDirectory(fileSystem, dataDirectory: scratch.path + "/data")
    let own = MemberInfo(id: 1, peerURLs: ["http://127.0.0.1:1"], name: "one")
    let opened = try directory.create(memberID: own.id, clusterID: 2)
    var raft = RaftConfig(id: own.id.rawValue)
    raft.electionTicks = 10
    raft.heartbeatTicks = 1
    raft.maxSizePerMessage = 1 << 20
    raft.maxInflightMessages = 16
    raft.random = SplitMix64(seed: 1)
    var config = MemberCore.Config(raft: raft)
    config.commitRows = 8
    var core = try MemberCore(
      config, storage: opened.storage, snapshot: opened.snapshot, store: opened.store,
      rows: opened.rows, consistentIndex: opened.consistentIndex,
      requestIDs: RequestIDs(member: own.id, start: 1))
    try core.bootstrap([own])
    return MemberHost(
      core: core, opened: opened, tickInterval: .milliseconds(10),
      logger: Logger(targets: [], encoding: .json, level: .error),
      metrics: ServerMetrics(MetricsRegistry()))
  }

  private func wait(_ what: String, _ holds: () -> Bool) async throws {
    for _ in 0..<2000 where !holds() { try await Task.sleep(for: .milliseconds(5)) }
    try #require(holds(), "\(what)")
  }

  /// Puts are applied and answered while a commit of the backend, and a defragmentation behind it, wait
  /// for the disk.
  @Test func putsAreAnsweredWhileTheBackendWaitsForTheDisk() async throws {
    let scratch = Scratch()
    let fileSystem = StallingFileSystem()
    let answers = Answers()
    let host = try makeHost(fileSystem, scratch)
    host.start(delegate: answers, skipTicks: 0, skipTicksAlone: 20)
    try await wait("a leader") { host.status.leader == 1 }
    func put(_ number: Int) {
      let request = Etcdserverpb.PutRequest(key: Bytes("key\(number)"), value: "value")
      let id = RequestID(UInt64(1_000_000 + number))
      host.post(
        .propose([Proposal(id: id, data: RaftRequest.encode(.put, request.encoded(), id: id))]))
    }
    func revision(_ number: Int) -> Int64? {
      guard case .kv(let result) = answers.outcome(RequestID(UInt64(1_000_000 + number))) else {
        return nil
      }
      return result.revision
    }
    put(0)
    try await wait("the first put") { revision(0) == 2 }
    fileSystem.stall()
    let defragmented = Mutex(false)
    for number in 1...100 {
      put(number)
      try await wait("put \(number)") { revision(number) == Int64(number + 2) }
      if number == 20 { try await wait("a stalled commit") { fileSystem.stalled > 0 } }
      if number == 30 {
        host.defragment { result in
          if case .success = result { defragmented.withLock { $0 = true } }
        }
      }
    }
    #expect(fileSystem.stalled > 0)
    fileSystem.release()
    try await wait("the defragmentation") { defragmented.withLock { $0 } }
    host.post(.flush(id: 7))
    try await wait("the flush") { answers.outcome(7) != nil }
    #expect(try host.backend.state().value(.key, Revision(main: 102).encoded()) != nil)
    host.stop()
  }

  /// A compaction whose caller wants the rows gone is answered when they are, however long that takes;
  /// no time limit of requests applies.
  @Test func aPhysicalCompactionOutlastsTheTimeOfARequest() async throws {
    let scratch = Scratch()
    let fileSystem = StallingFileSystem()
    let answers = Answers()
    let host = try makeHost(fileSystem, scratch)
    host.start(delegate: answers, skipTicks: 0, skipTicksAlone: 20)
    try await wait("a leader") { host.status.leader == 1 }
    for id in (100..<105).map({ RequestID($0) }) {
      let put = Etcdserverpb.PutRequest(key: "key", value: Bytes("value \(id)"))
      host.post(.propose([Proposal(id: id, data: RaftRequest.encode(.put, put.encoded(), id: id))]))
    }
    host.post(.flush(id: 1))
    try await wait("the flush") { answers.outcome(1) != nil }
    fileSystem.stall()
    let compact = Etcdserverpb.CompactionRequest(revision: 6, physical: true)
    host.post(
      .propose([Proposal(id: 2, data: RaftRequest.encode(.compaction, compact.encoded(), id: 2))]))
    try await wait("the stalled commit") { fileSystem.stalled > 0 }
    // 70 ticks of 10 ms are the time of a request.
    try await Task.sleep(for: .milliseconds(1_500))
    #expect(answers.outcome(2) == nil)
    fileSystem.release()
    try await wait("the answer") { answers.outcome(2) != nil }
    guard case .kv(let result) = answers.outcome(2) else {
      Issue.record("\(String(describing: answers.outcome(2)))")
      return host.stop()
    }
    #expect(result.revision == 6)
    #expect(try host.backend.state().value(.key, Revision(main: 5).encoded()) == nil)
    #expect(try host.backend.state().value(.key, Revision(main: 6).encoded()) != nil)
    host.stop()
  }
}
