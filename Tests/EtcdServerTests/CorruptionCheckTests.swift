import Bytes
import EtcdAPI
import EtcdConfig
import EventLoops
import MVCC
import Member
import Membership
import Testing

@testable import EtcdServer

/// Decisions about other members' data and versions, as values.
@Suite struct CorruptionCheckTests {
  private func hash(
    _ hash: UInt32, at revision: Int64 = 10, compacted: Int64 = 4, current: Int64? = nil
  ) -> MemberHash {
    MemberHash(
      value: StoreSnapshot.Hash(hash: hash, compactRevision: compacted, revision: revision),
      current: current ?? revision)
  }

  private func peer(_ id: MemberID, _ hash: MemberHash) -> PeerHash {
    PeerHash(id: id, endpoints: ["http://127.0.0.1:\(id)"], result: .success(hash))
  }

  private func failing(_ id: MemberID, _ failure: PeerHash.Failure) -> PeerHash {
    PeerHash(id: id, endpoints: ["http://127.0.0.1:\(id)"], result: .failure(failure))
  }

  // MARK: Before serving

  @Test func onlyHashesOfTheSameHistoryAreCompared() {
    let verdict = CorruptionCheck.initial(
      localID: 1, hash(7),
      [
        peer(2, hash(7)), peer(3, hash(8, compacted: 5)), failing(4, .futureRevision),
        failing(5, .compacted), failing(6, .clusterMismatch), failing(7, .other("refused")),
      ])
    #expect(verdict.mismatches == 0)
    #expect(
      verdict.lines.map(\.message) == [
        "found different compact revision values from remote peer",
        "cannot fetch hash from slow remote peer",
        "cannot fetch hash from remote peer; local member is behind", "cluster ID mismatch",
      ])
  }

  @Test func anotherHashOfTheSameRevisionIsAMismatch() throws {
    let verdict = CorruptionCheck.initial(
      localID: 0xab, hash(7, current: 12), [peer(2, hash(7)), peer(0xcd, hash(8, current: 15))])
    #expect(verdict.mismatches == 1)
    let line = try #require(verdict.lines.first)
    #expect(line.message == "found different hash values from remote peer" && line.level == .warn)
    #expect(
      line.fields.map(\.key) == [
        "local-member-id", "local-member-revision", "local-member-compact-revision",
        "local-member-hash", "remote-peer-id", "remote-peer-endpoints", "remote-peer-revision",
        "remote-peer-compact-revision", "remote-peer-hash",
      ])
    guard case .string("cd") = line.fields[4].value, case .int(15) = line.fields[6].value else {
      Issue.record("\(line.fields)")
      return
    }
  }

  // MARK: While it leads

  @Test func aSoundClusterPasses() {
    let verdict = CorruptionCheck.periodic(
      hash(7), [peer(2, hash(7)), failing(3, .futureRevision), peer(4, hash(9, compacted: 3))],
      hash(11, at: 12, compacted: 6))
    #expect(verdict.mismatches == 0)
    #expect(verdict.lines.map(\.message) == ["finished peer corruption check"])
    guard case .int(2)? = verdict.lines.first?.fields.first?.value else {
      Issue.record("\(verdict.lines)")
      return
    }
  }

  @Test func whatNoFollowerCanHaveIsAMismatch() {
    let second = hash(9, at: 12, compacted: 4)
    for (follower, message) in [
      (hash(7, current: 13), "revision from follower must be less than or equal to leader's"),
      (
        hash(1, compacted: 5),
        "compact revision from follower must be less than or equal to leader's"
      ),
      (hash(8), "same compact revision then hashes must match"),
    ] {
      let verdict = CorruptionCheck.periodic(hash(7), [peer(2, follower)], second)
      #expect(verdict.mismatches == 1)
      #expect(verdict.lines.first?.message == message)
    }
    let own = CorruptionCheck.periodic(hash(7), [], hash(8))
    #expect(own.mismatches == 1 && own.lines.first?.message == "found hash mismatch")
  }

  // MARK: Compactions

  private func stored(_ revisions: [Int64]) -> CompactionHashes {
    var hashes = CompactionHashes()
    for revision in revisions {
      hashes.add(hash(UInt32(revision), at: revision, compacted: revision - 1).value)
    }
    return hashes
  }

  @Test func theNewestTenAreKept() {
    let hashes = stored([5, 3, 12, 4, 6, 7, 8, 9, 10, 11, 2])
    #expect(hashes.all.map(\.revision) == Array(3...12))
    #expect(hashes[2] == nil && hashes[12]?.hash == 12)
  }

  @Test func theWalkGoesBackUntilAllAgree() {
    var check = CompactHashCheck()
    let all = stored([5, 6, 7])
    func agree(_ id: MemberID, _ revision: Int64) -> PeerHash {
      peer(id, hash(UInt32(revision), at: revision, compacted: revision - 1))
    }
    #expect(check.begin(all).step == .ask(revision: 7))
    // One has not got there, one has compacted elsewhere.
    var next = check.take([agree(2, 7), failing(3, .futureRevision)])
    #expect(next.step == .ask(revision: 6))
    #expect(
      next.lines.last?.message
        == "skipped revision in compaction hash check; was not able to check all peers")
    next = check.take([agree(2, 6), peer(3, hash(99, at: 6, compacted: 1))])
    #expect(next.step == .ask(revision: 5))
    next = check.take([agree(2, 5), agree(3, 5)])
    #expect(next.step == .finished && check.lastChecked == 5)
    // What was checked is not asked for again.
    #expect(check.begin(all).step == .ask(revision: 7))
    #expect(check.take([agree(2, 7), agree(3, 7)]).step == .finished)
    #expect(check.begin(all).step == .finished && check.lastChecked == 7)
    // A member alone has nobody to ask.
    var lone = CompactHashCheck()
    #expect(lone.begin(stored([3])).step == .ask(revision: 3))
    #expect(lone.take([]).step == .finished && lone.lastChecked == 0)
  }

  @Test func anotherHashOfACompactionIsCorrupt() {
    var check = CompactHashCheck()
    _ = check.begin(stored([7]))
    let next = check.take([peer(2, hash(8, at: 7, compacted: 6))])
    #expect(next.step == .corrupt && check.lastChecked == 0)
    #expect(next.lines.map(\.message) == ["failed compaction hash check"])
    #expect(next.lines.first?.level == .error)
  }

  // MARK: Answers of peers

  @Test func answersAreRead() {
    func read(_ status: Int, _ body: String) -> Result<MemberHash, PeerHash.Failure> {
      PeerHash.result(
        status: status, body: body, hash: HashKVMessage.hash(in: Bytes(body), at: 10))
    }
    let good = #"{"header":{"cluster_id":14841639068965178418,"revision":12},"hash":4294967295}"#
    #expect(
      read(200, good) == .success(hash(4_294_967_295, at: 10, compacted: 0, current: 12)))
    #expect(read(400, "mvcc: required revision has been compacted\n") == .failure(.compacted))
    #expect(
      read(400, "mvcc: required revision is a future revision\n") == .failure(.futureRevision))
    #expect(read(412, "cluster ID mismatch\n") == .failure(.clusterMismatch))
    #expect(
      read(404, "404 page not found\n") == .failure(.other("unknown error: 404 page not found\n")))
    for body in ["", "[]", #"{"hash":4294967296}"#, #"{"hash":-1}"#, #"{"header":5}"#] {
      #expect((try? read(200, body).get()) == nil, "\(body)")
    }
    #expect(
      HashKVMessage.revision(in: HashKVMessage.request(revision: .max)) == Int64.max)
    #expect(HashKVMessage.revision(in: #"{"revision":9223372036854775808}"#) == nil)
  }

  // MARK: Versions

  @Test func aDowngradeIsOverWhenAllSayTheTarget() {
    let downgrade = Downgrade(target: "3.4.0")
    let members: [MemberID] = [1, 2]
    #expect(DowngradeMonitor.isOver(downgrade, members, [1: "3.4.0", 2: "3.4.0"]).isOver)
    #expect(!DowngradeMonitor.isOver(downgrade, members, [1: "3.4.0"]).isOver)
    for other in ["3.5.0", "not_decided"] {
      let verdict = DowngradeMonitor.isOver(downgrade, members, [1: "3.4.0", 2: other])
      #expect(!verdict.isOver && verdict.lines.count == 1)
    }
    #expect(!DowngradeMonitor.isOver(Downgrade(target: "junk"), [], [:]).isOver)
  }

  @Test(arguments: [
    (nil, "", "fits"), ("3.5.0", "", "fits"), ("3.4.0", "", "fits"), ("3.6.0", "", "refused"),
    ("3.6.0", "3.5.0", "downgrading"), (nil, "3.5.0", "fits"), ("3.5.0", "3.4.0", "refused"),
    ("3.5.0", "junk", "refused"),
  ])
  func serversFitTheirCluster(_ cluster: String?, _ target: String, _ expected: String) {
    let verdict = VersionCheck.verdict(
      server: "3.5.30", cluster: cluster, Downgrade(target: target))
    let name =
      switch verdict {
      case .fits: "fits"
      case .downgrading: "downgrading"
      case .refused: "refused"
      }
    #expect(name == expected)
  }

  @Test func clusterVersionsRiseAndGoDownByOne() throws {
    let current = try #require(SemanticVersion("3.5.0"))
    func may(_ text: String) -> Bool {
      SemanticVersion(text).map { SemanticVersion.mayChange(current, to: $0) } ?? false
    }
    #expect(may("3.6.1") && may("3.4.30") && may("3.7.0"))
    #expect(!may("3.5.9") && !may("3.3.0") && !may("4.0.0"))
  }

  @Test func aDowngradeIsStoredAsByGo() throws {
    let row = Downgrade(target: "3.4.0").json
    #expect(row == #"{"target-version":"3.4.0","enabled":true}"#)
    #expect(Downgrade.none.json == #"{"target-version":"","enabled":false}"#)
    #expect(try Downgrade(json: row) == Downgrade(target: "3.4.0"))
    #expect(try Downgrade(json: #"{"target-version":"3.4.0","enabled":false}"#) == .none)
    #expect(throws: MembershipError.self) { try Downgrade(json: "3.4.0") }
  }

  // MARK: Pace

  @Test func thePauseIsCutIntoThoseAfterOurSteps() {
    #expect(MemberHost.Pace.pause(.milliseconds(10), batch: 1000, step: 256) == .microseconds(2560))
    #expect(MemberHost.Pace.pause(.milliseconds(10), batch: 5, step: 5) == .milliseconds(10))
    #expect(MemberHost.Pace.pause(.nanoseconds(1), batch: 1000, step: 256) == .milliseconds(1))
  }

  @Test func aTurnIsDescribed() {
    let events: [MemberEvent] = [
      .tick, .read([1, 2]), .propose([Proposal(id: 1, data: "x")]), .read([3]), .tick,
    ]
    #expect(TurnText.text(events, applied: 4) == "tick:2 read:3 propose:1 applied:4")
  }

  // MARK: Health

  @Test func watchersSeeEachChange() async {
    let status = ServingStatus(
      stopsOnDefrag: true, Logger(targets: [], encoding: .json, level: .error))
    var changes = status.watch().makeAsyncIterator()
    #expect(await changes.next() == true)
    status.defragmentStarted()
    #expect(await changes.next() == false)
    #expect(!status.isServing)
    // The end of one is not the end of both.
    status.defragmentStarted()
    status.defragmentFinished()
    #expect(!status.isServing)
    status.defragmentFinished()
    #expect(await changes.next() == true)
  }
}
