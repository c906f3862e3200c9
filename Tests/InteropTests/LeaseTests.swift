import Bolt
import Bytes
import EtcdAPI
import FileSystem
import Foundation
import MVCC
import MemberStorage
import Protobuf
import Testing

/// Leases as clients and other members see them, next to the real server's.
@Suite(
  .serialized,
  .enabled(if: Binaries.go35 != nil && Binaries.ctl35 != nil && Binaries.utl35 != nil))
struct LeaseTests {
  /// Runs etcdctl 3.5.1 against members.
  struct Control {
    let path: String
    let endpoints: String

    init?(_ members: [Member]) {
      guard let path = Binaries.ctl35, Binaries.go35 != nil else {
        return nil
      }
      self.path = path
      endpoints = members.map(\.endpoint).joined(separator: ",")
    }

    func callAsFunction(_ words: String, timeout: TimeInterval = 60) -> Finished {
      run(
        path,
        ["--endpoints", endpoints, "--command-timeout", "20s"]
          + words.split(separator: " ")
          .map(String.init), timeout: timeout)
    }

    /// Grants a lease and returns its id in hexadecimal.
    func grant(_ ttl: Int, _ more: String = "") throws -> String {
      let done = self("lease grant \(ttl) \(more)")
      return String(
        try #require(done.output.firstMatch(of: /lease ([0-9a-f]+) granted/), "\(done)").1)
    }

    /// Seconds left; −1 when the lease is gone.
    func remaining(_ lease: String) throws -> Int {
      let done = self("lease timetolive \(lease) -w json")
      return try #require(
        done.output.firstMatch(of: /"ttl":(-?[0-9]+)/).flatMap { Int($0.1) }, "\(done)")
    }

    func count(_ prefix: String) -> Int {
      let done = self("get \(prefix) --prefix --keys-only")
      return done.output.split(separator: "\n").count
    }
  }

  /// Waits until something is so.
  static func wait(
    _ seconds: TimeInterval, _ what: String, _ isSo: () throws -> Bool
  ) throws {
    let deadline = Date().addingTimeInterval(seconds)
    while try !isSo() {
      guard Date() < deadline else {
        Issue.record("not within \(seconds) s: \(what)")
        return
      }
      usleep(50_000)
    }
  }

  /// Makes a member the leader.
  static func lead(_ target: Member, _ cluster: Cluster) throws {
    let control = try #require(Control(cluster.members))
    try wait(20, "\(target.name) leads") {
      let status = control("endpoint status -w json")
      guard
        let table = try? JSONSerialization.jsonObject(with: Data(status.output.utf8))
          as? [[String: Any]],
        let row = table.first(where: { ($0["Endpoint"] as? String) == target.endpoint }),
        let fields = row["Status"] as? [String: Any],
        let id = (fields["header"] as? [String: Any])?["member_id"] as? UInt64
      else { return false }
      if (fields["leader"] as? UInt64) == id { return true }
      _ = control("move-leader \(String(id, radix: 16))")
      return false
    }
  }

  static let script: [String] = [
    "lease grant 60 --LEASE=1", "lease grant", "lease grant x", "lease list",
    "put a 1 --lease LEASE1", "put b 2 --lease LEASE1", "get a -w json",
    "lease timetolive LEASE1", "lease timetolive LEASE1 --keys",
    "lease timetolive LEASE1 --keys -w json", "lease timetolive LEASE1 --keys -w fields",
    "lease list -w json", "lease list -w fields", "lease keep-alive --once LEASE1",
    "lease keep-alive --once LEASE1 -w json", "lease grant 1 --LEASE=2", "lease grant -5 --LEASE=3",
    "lease grant 9000000000 --LEASE=4", "lease grant 9000000001", "lease grant 30 -w json",
    "lease timetolive LEASE4", "put b 3", "lease timetolive LEASE1 --keys",
    "put b 4 --lease LEASE1", "put b 5 --ignore-lease", "lease timetolive LEASE1 --keys",
    "put c 1 --lease LEASE4", "put a 2 --lease LEASE4", "lease timetolive LEASE1 --keys",
    "lease timetolive LEASE4 --keys", "del c", "lease timetolive LEASE4 --keys",
    "lease revoke LEASE1", "lease revoke LEASE1", "get a --prefix", "get b", "get b --rev 7",
    "lease timetolive LEASE1", "lease timetolive LEASE1 --keys -w json",
    "lease keep-alive --once LEASE1", "put x y --lease LEASE1", "put x y --lease zz",
    "lease revoke LEASE4", "get '' --prefix -w json", "lease revoke 0", "lease timetolive 0",
    "lease keep-alive --once 0", "lease timetolive ffffffffffffffff",
  ]

  /// Go lists the keys of a lease in no order.
  static func sortKeys(_ text: String) -> String {
    text.replacing(/(attached keys\(|"keys":)\[([^\]]*)\]/) { match in
      let separator: Character = match.1.hasPrefix("\"") ? "," : " "
      let keys = match.2.split(separator: separator).sorted().joined(separator: String(separator))
      return "\(match.1)[\(keys)]"
    }
  }

  /// The servers are not asked in the same moment.
  static func roundTimes(_ text: String) -> String {
    text.replacing(/(remaining\(|"ttl":|"TTL" : )([0-9]+)/) { match in
      "\(match.1)about \((Int(match.2)! + 200) / 300 * 300)"
    }
  }

  @Test(.enabled(if: Binaries.go35 != nil)) func outputEqualsTheRealServers() throws {
    let official = try #require(Binaries.go35)
    let clusters = [official, Binaries.ours].map { Cluster([$0]) }
    for cluster in clusters { try cluster.start() }
    var names: [[String: String]] = [[:], [:]]
    var differences: [String] = []
    for step in Self.script {
      let answers = try clusters.enumerated().map { position, cluster in
        let control = try #require(Control(cluster.members))
        var line = step
        // `--LEASE=n` names the lease that comes out.
        let name = step.firstMatch(of: /[ ]--LEASE=([0-9])/).map { String($0.1) }
        if let name { line = line.replacingOccurrences(of: " --LEASE=\(name)", with: "") }
        for (name, id) in names[position] {
          line = line.replacingOccurrences(of: "LEASE\(name)", with: id)
        }
        let done = control(line.replacingOccurrences(of: "-5", with: "-- -5"))
        if let name, let id = done.output.firstMatch(of: /lease ([0-9a-f]+) granted/) {
          names[position][name] = String(id.1)
        }
        func cover(_ text: String) -> String {
          var text = EtcdctlTests.normalise(text, cluster.members[0])
          for (name, id) in names[position] {
            text = text.replacingOccurrences(of: id, with: "LEASE\(name)")
          }
          for pattern in ["(?i)\"(id|lease)\" ?: ?-?[0-9]{15,20}", "ID : [0-9]{15,20}"] {
            text = text.replacingOccurrences(
              of: pattern, with: "ID", options: .regularExpression)
          }
          return Self.roundTimes(Self.sortKeys(text))
        }
        return Finished(
          status: done.status, output: cover(done.output), error: cover(done.error))
      }
      // Key by key, Go lists them in no order.
      let isUnordered = step.contains("--keys -w fields")
      let equal =
        isUnordered
        ? answers[0].output.split(separator: "\n").sorted()
          == answers[1].output.split(separator: "\n").sorted()
        : answers[0] == answers[1]
      if !equal {
        differences.append("\(step)\n--- etcd 3.5.1\n\(answers[0])\n--- ours\n\(answers[1])")
      }
    }
    #expect(names.allSatisfy { $0.count == 4 }, "\(names)")
    #expect(differences.isEmpty, "\(differences.joined(separator: "\n\n"))")
  }

  /// A lease lives as long as somebody renews it through a follower of the other kind; then its keys
  /// go on all members alike.
  @Test(
    .enabled(if: Binaries.go35 != nil), arguments: [[true, false, false], [false, true, true]])
  func renewsThroughTheOtherKind(ours: [Bool]) throws {
    let official = try #require(Binaries.go35)
    let cluster = Cluster(ours.map { $0 ? Binaries.ours : official })
    try cluster.start()
    let leader = cluster.members[0]
    let follower = cluster.members[1]
    try Self.lead(leader, cluster)
    let control = try #require(Control([follower]))
    let ttl = 3
    let lease = try control.grant(ttl)
    for n in 0..<5 {
      #expect(control("put leased\(n) v --lease \(lease)").status == 0)
    }
    let end = Date().addingTimeInterval(Double(3 * ttl))
    while Date() < end {
      let renewed = control("lease keep-alive --once \(lease)")
      #expect(renewed.output == "lease \(lease) keepalived with TTL(\(ttl))\n", "\(renewed)")
      let keys = control("lease timetolive \(lease) --keys").output
      #expect(
        keys.contains("granted with TTL(\(ttl)s), remaining(2s)") && keys.contains("leased4"),
        "\(keys)"
      )
      usleep(500_000)
    }
    #expect(control.count("leased") == 5)
    try Self.wait(15, "the keys are gone") { control.count("leased") == 0 }
    #expect(try control.remaining(lease) == -1)
    #expect(
      control("lease keep-alive --once \(lease)").error.contains("requested lease not found"))
    let revision = try #require(
      control("get x -w json").output.firstMatch(of: /"revision":([0-9]+)/).flatMap { Int($0.1) })
    // Five puts and one revocation: an expiry that was applied twice, or by nobody, would show.
    #expect(revision == 7)
    for member in cluster.members {
      let one = try #require(Control([member]))
      try Self.wait(5, "\(member.name) has it applied") { one.count("leased") == 0 }
      #expect(one("lease list").output == "found 0 leases\n")
    }
    let hashes = Set(cluster.members.map { hashKV($0, revision: revision) })
    #expect(hashes.count == 1, "\(hashes)")
    let metrics = httpGet("\(cluster.members[ours[0] ? 0 : 1].endpoint)/metrics") ?? ""
    #expect(metrics.contains("etcd_debugging_lease_revoked_total 1\n"), "\(metrics)")
    #expect(metrics.contains("etcd_debugging_lease_granted_total 1\n"))
    if ours[0] { #expect(metrics.contains("etcd_debugging_server_lease_expired_total 1\n")) }
  }

  /// A new leader, of either kind, gives leases all of their time again.
  @Test(.enabled(if: Binaries.go35 != nil)) func aLeaderChangeExtends() throws {
    let official = try #require(Binaries.go35)
    let cluster = Cluster([Binaries.ours, official, Binaries.ours])
    try cluster.start()
    let control = try #require(Control(cluster.members))
    try Self.lead(cluster.members[0], cluster)
    let lease = try control.grant(20)
    #expect(control("put kept v --lease \(lease)").status == 0)
    for next in [1, 2, 0] {
      try Self.wait(10, "time passes") { try control.remaining(lease) <= 17 }
      try Self.lead(cluster.members[next], cluster)
      try Self.wait(3, "\(cluster.members[next].name) extends") {
        (19...20).contains(try control.remaining(lease))
      }
    }
    #expect(control.count("kept") == 1)
  }

  /// A leader that stops long enough to be replaced does not end leases that were renewed elsewhere.
  /// - Source: etcd issue 15247.
  @Test(.enabled(if: Binaries.ctl35 != nil)) func aLeaderThatSleptRevokesNothing() throws {
    let cluster = Cluster([Binaries.ours, Binaries.ours, Binaries.ours])
    try cluster.start()
    let sleeper = cluster.members[0]
    try Self.lead(sleeper, cluster)
    let control = try #require(Control(Array(cluster.members.dropFirst())))
    let lease = try control.grant(4)
    #expect(control("put kept v --lease \(lease)").status == 0)
    kill(sleeper.pid, SIGSTOP)
    let end = Date().addingTimeInterval(9)
    var renewals = 0
    while Date() < end {
      if control("lease keep-alive --once \(lease)").status == 0 { renewals += 1 }
      usleep(200_000)
    }
    kill(sleeper.pid, SIGCONT)
    let after = Date().addingTimeInterval(3)
    while Date() < after {
      #expect(control("lease keep-alive --once \(lease)").status == 0)
      #expect(control.count("kept") == 1)
    }
    #expect(renewals > 3)
    try sleeper.waitHealthy()
    // What the sleeper says about the lease is what the leader says.
    let alone = try #require(Control([sleeper]))
    #expect((2...4).contains(try alone.remaining(lease)))
    #expect(alone.count("kept") == 1)
  }

  /// The end of a lease deletes keys that only some users may write.
  @Test(.enabled(if: Binaries.ctl35 != nil)) func leasesEndWhileAuthIsOn() throws {
    let cluster = Cluster([Binaries.ours])
    try cluster.start()
    for words in [
      ["user", "add", "root:pw"], ["user", "grant-role", "root", "root"],
      ["user", "add", "other:pw"], ["auth", "enable"],
    ] { #expect(cluster.ctl(words).status == 0) }
    let granted = cluster.ctl(["--user", "root:pw", "lease", "grant", "2"])
    let lease = try #require(
      granted.output.firstMatch(of: /lease ([0-9a-f]+)/).map { String($0.1) }, "\(granted)")
    let put = cluster.ctl(["--user", "root:pw", "put", "a", "v", "--lease", lease])
    #expect(put.status == 0, "\(put)")
    // Who may not write the key may neither end the lease nor see its keys.
    let revoke = cluster.ctl(["--user", "other:pw", "lease", "revoke", lease])
    #expect(revoke.error.contains("permission denied"), "\(revoke)")
    let keys = cluster.ctl(["--user", "other:pw", "lease", "timetolive", lease, "--keys"])
    #expect(keys.error.contains("permission denied"), "\(keys)")
    try Self.wait(15, "the lease ends") {
      cluster.ctl(["--user", "root:pw", "get", "a"]).output.isEmpty
    }
    #expect(cluster.ctl(["--user", "root:pw", "lease", "list"]).output == "found 0 leases\n")
  }

  /// Leases and what is left of them survive a restart, and go from one server to the other.
  @Test(.enabled(if: Binaries.go35 != nil)) func survivesRestartsAndExchange() throws {
    let official = try #require(Binaries.go35)
    let cluster = Cluster([official])
    let member = cluster.members[0]
    let control = try #require(Control([member]))
    var leases: [String] = []
    for (round, binary) in [official, Binaries.ours, official, Binaries.ours, Binaries.ours]
      .enumerated()
    {
      member.start(binary: binary)
      try member.waitHealthy()
      for (number, lease) in leases.enumerated() {
        let keys = control("lease timetolive \(lease) --keys").output
        #expect(
          keys.contains("granted with TTL(\(100 + number)s)") && keys.contains("[key\(number)]"),
          "round \(round): \(keys)")
      }
      let listed = control("lease list").output.split(separator: "\n").dropFirst().map(String.init)
      #expect(listed.sorted() == leases.sorted(), "round \(round)")
      let lease = try control.grant(100 + leases.count)
      #expect(control("put key\(leases.count) v --lease \(lease)").status == 0)
      leases.append(lease)
      // One that ends while nobody runs, or soon after.
      let short = try control.grant(2)
      #expect(control("put short v --lease \(short)").status == 0)
      // Go's member writes its database in order only when it is stopped in order.
      if round == 4 { member.kill() } else { member.stop() }
      member.start(binary: binary)
      try member.waitHealthy()
      try Self.wait(10, "the short one ends after a restart") { control.count("short") == 0 }
      member.stop()
      let stored = try rows(member)
      let ids = leases.map { Int64($0, radix: 16)! }
      #expect(stored.map(\.id) == ids.sorted())
      for row in stored {
        let number = try #require(ids.firstIndex(of: row.id))
        #expect(row.ttl == Int64(100 + number) && row.remainingTTL == 0)
      }
    }
    #expect(leases.count == 5)
  }

  /// The rows of bucket `lease` in a directory that nobody has open.
  private func rows(_ member: Member) throws -> [Leasepb.Lease] {
    let database = try BoltDatabase(RealFileSystem(), path: member.directory + "/member/snap/db")
    defer { database.close() }
    var rows: [Leasepb.Lease] = []
    try BoltRows(database.read()).scan(.lease, from: Bytes()) { key, value in
      guard let lease = try? Leasepb.Lease.decode(value) else { return false }
      var writer = ByteWriter(capacity: 8)
      writer.appendBigEndian(lease.id)
      // The row is what both servers write: key and coding included.
      #expect(key == writer.finish() && value == lease.encoded())
      rows.append(lease)
      return true
    }
    return rows
  }

  /// What Go's checkpoint left of a lease holds after a start, as from 3.5.2 on; a renewal makes the
  /// lease whole again.
  @Test(.enabled(if: Binaries.go35 != nil)) func whatWasLeftIsHonoured() throws {
    let official = try #require(Binaries.go35)
    let cluster = Cluster([official])
    let member = cluster.members[0]
    try cluster.start()
    let control = try #require(Control([member]))
    let lease = try control.grant(500)
    member.stop()
    // Checkpoints come every five minutes; this is the row that one leaves.
    var row = try #require(try rows(member).first)
    #expect(row.ttl == 500 && row.remainingTTL == 0)
    row.remainingTTL = 30
    let database = try BoltDatabase(RealFileSystem(), path: member.directory + "/member/snap/db")
    var key = ByteWriter(capacity: 8)
    key.appendBigEndian(row.id)
    try database.commit([
      BoltChange(
        bucket: "lease", operations: [BoltOperation(key: key.finish(), value: row.encoded())])
    ])
    database.close()
    member.start(binary: Binaries.ours)
    try member.waitHealthy()
    #expect((25...31).contains(try control.remaining(lease)))
    #expect(control("lease keep-alive --once \(lease)").output.contains("TTL(500)"))
    #expect((498...500).contains(try control.remaining(lease)))
    // The next leader knows that it is whole.
    member.kill()
    member.start(binary: Binaries.ours)
    try member.waitHealthy()
    #expect((498...501).contains(try control.remaining(lease)))
  }
}
