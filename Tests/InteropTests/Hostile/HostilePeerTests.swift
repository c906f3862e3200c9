import Bytes
import EtcdAPI
import Foundation
import Protobuf
import TestSupport
import Testing

/// Forged messages to the peer port (CASES.md S17): what can be told from a member's is dropped, and what
/// cannot ends the member with its reason; the directory starts again.
@Suite(.serialized) struct HostilePeerTests {
  /// Posts a message as a member would. - Returns: the status.
  private func post(_ cluster: Cluster, _ member: Member, _ message: Raftpb.Message) throws -> Int {
    try post(cluster, member, from: message.from, "/raft", message.encoded()).status
  }

  /// Posts a snapshot's message and the database behind it. - Returns: status and answer.
  private func post(
    _ cluster: Cluster, _ member: Member, _ message: Raftpb.Message, database: Bytes
  ) throws -> (status: Int, text: String) {
    let front = message.encoded()
    var body = ByteWriter(capacity: front.count + database.count + 8)
    body.appendBigEndian(UInt64(front.count))
    body.append(front)
    body.append(database)
    return try post(cluster, member, from: message.from, "/raft/snapshot", body.finish())
  }

  private func post(
    _ cluster: Cluster, _ member: Member, from: UInt64, _ path: String, _ bytes: Bytes
  ) throws -> (status: Int, text: String) {
    let id = try clusterID(member)
    let file = cluster.scratch.path + "/message"
    try Data(bytes.withUnsafeBytes { Array($0) }).write(to: URL(fileURLWithPath: file))
    let done = run(
      "/usr/bin/curl",
      [
        "-s", "-w", "%{http_code}", "-m", "10", "-X", "POST",
        "-H", "X-Server-From: \(String(from, radix: 16))", "-H", "X-Server-Version: 3.5.1",
        "-H", "X-Min-Cluster-Version: 3.0.0", "-H", "X-Etcd-Cluster-ID: \(id)",
        "--data-binary", "@\(file)", "http://127.0.0.1:\(member.peerPort)\(path)",
      ])
    return (Int(done.output.suffix(3)) ?? 0, String(done.output.dropLast(3)))
  }

  private func clusterID(_ member: Member) throws -> String {
    let members = run(
      "/usr/bin/curl", ["-s", "-i", "-m", "5", "http://127.0.0.1:\(member.peerPort)/members"]
    ).output
    let line = try #require(
      members.split(separator: "\r\n").first {
        $0.lowercased().hasPrefix("x-etcd-cluster-id:")
      })
    return String(line.split(separator: " ")[1])
  }

  /// Ids of all members as the first says them, its own first.
  private func ids(_ cluster: Cluster) throws -> [UInt64] {
    let text = try #require(httpGet("http://127.0.0.1:\(cluster.members[0].peerPort)/members"))
    let rows = try #require(
      try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [[String: Any]])
    let byName = Dictionary(
      uniqueKeysWithValues: rows.compactMap { row in
        (row["name"] as? String).flatMap { name in
          (row["id"] as? NSNumber).map { (name, $0.uint64Value) }
        }
      })
    return try cluster.members.map { try #require(byName[$0.name]) }
  }

  private func term(_ member: Member) -> UInt64 {
    let status = run(
      Binaries.ctl35!, ["--endpoints", member.endpoint, "endpoint", "status", "-w", "json"]
    ).output
    let rows = try? JSONSerialization.jsonObject(with: Data(status.utf8)) as? [[String: Any]]
    let inner = rows?.first?["Status"] as? [String: Any]
    return (inner?["raftTerm"] as? NSNumber)?.uint64Value ?? 1
  }

  @Test(.enabled(if: Binaries.ctl35 != nil))
  func whatNoMemberSendsIsDropped() throws {
    let victims = try Victims()
    let cluster = victims.cluster
    let ids = try ids(cluster)
    let term = term(cluster.members[0])
    let bad = Bytes([0xff, 0xff, 0xff])
    let messages: [Raftpb.Message] = [
      // In the name of raft's own threads: would count as "the log is durable".
      .init(
        type: .storageAppendResp, to: ids[0], from: .max, term: term, logTerm: term, index: 1 << 40),
      .init(type: .storageApplyResp, to: ids[0], from: .max - 1),
      .init(type: .hup, to: ids[0], from: ids[1]),
      .init(type: .beat, to: ids[0], from: ids[1]),
      .init(type: .unreachable, to: ids[0], from: ids[1]),
      // In the member's own name, and in nobody's.
      .init(type: .heartbeat, to: ids[0], from: ids[0], term: term, commit: 1),
      .init(type: .app, to: ids[0], from: 0, term: term),
      // A snapshot without its database.
      .init(
        type: .snap, to: ids[0], from: ids[1], term: term + 1,
        snapshot: .init(
          metadata: .init(
            confState: .init(voters: ids), index: 1 << 20, term: term))),
      // Entries that nobody can apply.
      .init(type: .prop, to: ids[0], from: ids[1], entries: [.init(data: bad)]),
      .init(
        type: .prop, to: ids[0], from: ids[1], entries: [.init(type: .confChange, data: bad)]),
      .init(
        type: .app, to: ids[0], from: ids[1], term: term,
        entries: [.init(term: term, index: 1, data: bad)], commit: 1),
      // Numbers at their ends.
      .init(type: .vote, to: ids[0], from: ids[1], term: .max),
      .init(type: .vote, to: ids[0], from: ids[1], term: .max - 1),
      .init(type: .appResp, to: ids[0], from: ids[1], term: term, index: .max),
      .init(
        type: .appResp, to: ids[0], from: ids[1], term: term, index: 3, reject: true,
        rejectHint: .max),
      .init(type: .unrecognized(99), to: ids[0], from: ids[1], term: term),
    ]
    // The attack arrived: the transport refuses it, or takes it and drops what no member can apply.
    let statuses = try messages.map { try post(cluster, cluster.members[0], $0) }
    let refused = Array(repeating: 500, count: 8)
    #expect(statuses == refused + Array(repeating: 204, count: 7) + [500])
    let log = cluster.members[0].log
    func lines(_ message: String) -> Int {
      log.split(separator: "\n").count { $0.contains("\"msg\":\"\(message)\"") }
    }
    // Once a second, however many come.
    #expect((1...9).contains(lines("failed to process Raft message")))
    #expect(lines("dropped Raft message; its entries cannot be applied") == 3)
    try victims.check()
    for member in cluster.members {
      #expect(cluster.ctl(["put", "a", "b"], at: member).status == 0)
    }
    // Nothing of it is in the logs.
    let member = cluster.members[0]
    member.stop()
    member.start()
    try member.waitHealthy()
  }

  /// Snapshots whose database does not belong to them: installed, they would end the member at every start.
  @Test(.enabled(if: Binaries.ctl35 != nil))
  func aSnapshotWithoutItsDatabaseIsRefused() throws {
    let victims = try Victims(extra: ["--snapshot-count", "10"])
    let cluster = victims.cluster
    let ids = try ids(cluster)
    let member = cluster.members[0]
    for number in 0..<30 {
      #expect(cluster.ctl(["put", "k\(number)", "v"], at: member).status == 0)
    }
    let snapshot = try newestSnapshot(of: member)
    let saved = cluster.scratch.path + "/saved.db"
    #expect(cluster.ctl(["snapshot", "save", saved], at: member).status == 0)
    // Without the digest at its end.
    let database = Bytes(
      Array(try #require(FileManager.default.contents(atPath: saved)).dropLast(32)))
    var message = Raftpb.Message(
      type: .snap, to: ids[0], from: ids[1], term: term(member) + 1, snapshot: snapshot)
    message.snapshot?.metadata.index += 1_000
    let cases: [(Bytes, String)] = [
      (database, "is older: it is at index"), (Bytes(), "no database of etcd"),
      (database[0..<(database.count / 2)], "no database of etcd"),
      (Bytes([UInt8](repeating: 0, count: 100_000)), "no database of etcd"),
    ]
    for (bytes, reason) in cases {
      let answer = try post(cluster, member, message, database: bytes)
      #expect(answer.status == 500)
      #expect(answer.text.contains(reason), "\(answer)")
    }
    // What is refused for its names is not told at their length.
    let name = String(ids[1], radix: 16)
    let text = try #require(message.snapshot?.data.string)
    try #require(text.contains("\"\(name)\""))
    message.snapshot?.data = Bytes(
      text.replacing("\"\(name)\"", with: "\"\(String(repeating: "z", count: 200_000))\""))
    let answer = try post(cluster, member, message, database: database)
    #expect(answer.status == 500 && answer.text.utf8.count < 1_000)
    #expect(member.log.split(separator: "\n").allSatisfy { $0.utf8.count < 10_000 })
    try victims.check()
    let snapshots = member.directory + "/member/snap"
    let names = try FileManager.default.contentsOfDirectory(atPath: snapshots)
    #expect(!names.contains { $0.hasSuffix(".snap.db") }, "\(names)")
    #expect(!member.log.contains("applied snapshot"))
    member.kill()
    member.start()
    try member.waitHealthy()
    #expect(cluster.ctl(["put", "a", "b"], at: member).status == 0)
    try expectEqualHashes(cluster.members)
  }

  /// S15: eight large messages at once, posted and in front of databases, of which none comes to its end.
  @Test func heldMessagesTakeNoMemory() throws {
    let victims = try Victims()
    let member = victims.cluster.members[0]
    let id = try clusterID(member)
    var attackers: [(connection: Attacker, left: Int)] = []
    for number in 0..<8 {
      let attacker = try Attacker(port: member.peerPort)
      let path = number < 3 ? "/raft" : "/raft/snapshot"
      attacker.send(
        "POST \(path) HTTP/1.1\r\nHost: x\r\nX-Etcd-Cluster-ID: \(id)\r\nX-Server-Version: 3.5.1\r\n"
          + "X-Server-From: a\(number)\r\nContent-Length: \(200 << 20)\r\n\r\n")
      // The length of a message that is allowed.
      if number >= 3 { _ = attacker.pour([0, 0, 0, 0, 0x09, 0, 0, 0]) }
      attackers.append((attacker, 130 << 20))
    }
    let block = [UInt8](repeating: 7, count: 1 << 20)
    // Until nobody can get rid of anything for a while.
    var idle = 0
    while idle < 20 {
      var poured = 0
      for index in attackers.indices where attackers[index].left > 0 {
        let taken = attackers[index].connection.pour(block)
        attackers[index].left -= taken
        poured += taken
      }
      idle = poured == 0 ? idle + 1 : 0
      if poured == 0 { usleep(20_000) }
    }
    try victims.check(memoryMax: 400 << 20)
  }

  /// The newest raft snapshot that a member saved.
  private func newestSnapshot(of member: Member) throws -> Raftpb.Snapshot {
    let folder = member.directory + "/member/snap"
    let deadline = Date().addingTimeInterval(10)
    while true {
      let names = try FileManager.default.contentsOfDirectory(atPath: folder)
      if let name = names.filter({ $0.hasSuffix(".snap") }).max(),
        let file = FileManager.default.contents(atPath: "\(folder)/\(name)")
      {
        return try Raftpb.Snapshot.decode(
          Snappb.Snapshot.decode(Bytes(Array(file))).data)
      }
      try #require(Date() < deadline, "no snapshot was saved")
      usleep(50_000)
    }
  }

  /// A leader of a later term that knows the log to reach further: this member lost entries, or somebody
  /// lies. It cannot tell, and must not go on.
  @Test(.enabled(if: Binaries.ctl35 != nil))
  func aContradictionEndsTheMemberWithItsReason() throws {
    let victims = try Victims()
    let cluster = victims.cluster
    let ids = try ids(cluster)
    let member = cluster.members[0]
    let message = Raftpb.Message(
      type: .heartbeat, to: ids[0], from: ids[1], term: term(member) + 1, commit: 1 << 30)
    _ = try post(cluster, member, message)
    let deadline = Date().addingTimeInterval(10)
    while member.isRunning, Date() < deadline { usleep(20_000) }
    #expect(!member.isRunning)
    let last = member.log.split(separator: "\n").last { $0.contains("\"level\":\"fatal\"") } ?? ""
    #expect(
      last.contains("MsgHeartbeat from \(String(ids[1], radix: 16)): tocommit(1073741824)"),
      "\(last)")
    #expect(member.log.split(separator: "\n").last == last, "the reason is the last line")
    member.start()
    try member.waitHealthy()
    #expect(cluster.ctl(["put", "a", "b"], at: member).status == 0)
  }
}
