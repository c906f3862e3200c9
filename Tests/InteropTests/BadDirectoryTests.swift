import Bolt
import Bytes
import FileSystem
import Foundation
import TestSupport
import Testing

/// Directories and surroundings that cannot work: refused with etcd's words, and nothing in them changes.
@Suite(.serialized) struct BadDirectoryTests {
  /// A member that was stopped after some writes, with snapshots; Go's where it is installed.
  static func stopped(_ binary: String, puts: Int = 30, extra: [String] = []) throws -> Cluster {
    let cluster = Cluster([binary], extra: ["--snapshot-count", "10"] + extra)
    try cluster.start()
    for n in 0..<puts {
      let done = run(
        try #require(Binaries.ctl35),
        ["--endpoints", cluster.members[0].endpoint, "put", "key\(n)", "v"])
      #expect(done.status == 0, "\(done)")
    }
    cluster.members[0].stop()
    return cluster
  }

  /// Names, sizes and contents of everything below a directory.
  static func contents(_ directory: String) -> [String: Int] {
    var all: [String: Int] = [:]
    for name in FileManager.default.enumerator(atPath: directory)?.allObjects as? [String] ?? [] {
      all[name] = FileManager.default.contents(atPath: "\(directory)/\(name)")?.hashValue ?? 0
    }
    return all
  }

  /// Starts a member that must refuse, and gives its log.
  static func refusal(_ member: Member, _ binary: String = Binaries.ours) -> String {
    let before = member.log.count
    member.start(binary: binary)
    let deadline = Date().addingTimeInterval(15)
    while member.isRunning, Date() < deadline { usleep(20_000) }
    #expect(!member.isRunning, "it runs")
    member.kill()
    return String(member.log.dropFirst(before))
  }

  struct Damage: CustomTestStringConvertible {
    let testDescription: String
    let make: @Sendable (_ member: String) throws -> Void
    let texts: [String]
  }

  static let damages = [
    Damage(
      testDescription: "missing log",
      make: { try FileManager.default.removeItem(atPath: $0 + "/wal") },
      texts: ["write-ahead log is missing"]),
    Damage(
      testDescription: "missing database",
      make: { try FileManager.default.removeItem(atPath: $0 + "/snap/db") },
      texts: [
        "failed to recover v3 backend from snapshot",
        "failed to find database snapshot file (snap: snapshot file doesn't exist)",
      ]),
    Damage(
      testDescription: "garbage for a database",
      make: {
        try Data((0..<70000).map { UInt8(truncatingIfNeeded: $0 &* 31) })
          .write(to: URL(fileURLWithPath: $0 + "/snap/db"))
      }, texts: ["/snap/db", "invalid database"]),
    Damage(
      testDescription: "log shorter than the database",
      make: { truncate($0 + "/wal/0000000000000000-0000000000000000.wal", 400) },
      texts: ["is at index", "ends at"]),
    Damage(
      testDescription: "a flipped bit in the middle of the log",
      make: {
        let path = $0 + "/wal/0000000000000000-0000000000000000.wal"
        let offset = try lastByteOfRecord(in: path, at: 900)
        let file = try #require(FileHandle(forUpdatingAtPath: path))
        try file.seek(toOffset: offset)
        let byte = try #require(try file.read(upToCount: 1))[0]
        try file.seek(toOffset: offset)
        try file.write(contentsOf: [byte ^ 0x10])
        try file.close()
      }, texts: ["discovery failed", ".wal at offset"]),
  ]

  /// The last byte of the first log record that ends behind `minimum`: checksums cover it, as they do
  /// not cover the padding behind a record.
  static func lastByteOfRecord(in path: String, at minimum: Int) throws -> UInt64 {
    let log = try Data(contentsOf: URL(fileURLWithPath: path))
    var frame = 0
    while true {
      let head = (0..<8).reduce(UInt64(0)) { $0 | UInt64(log[frame + $1]) << (8 * $1) }
      let size = Int(head & 0xff_ffff_ffff_ffff)
      try #require(size > 0 && frame + 8 + size <= log.count)
      if frame + 8 + size > minimum { return UInt64(frame + 8 + size - 1) }
      frame += 8 + size + (head >> 63 == 1 ? Int(head >> 56 & 7) : 0)
    }
  }

  @Test(arguments: damages)
  func damageIsRefused(damage: Damage) throws {
    let cluster = try Self.stopped(Binaries.ours)
    let member = cluster.members[0]
    try damage.make(member.directory + "/member")
    let before = Self.contents(member.directory)
    let log = Self.refusal(member)
    for text in damage.texts { #expect(log.contains(text), "\(log)") }
    var after = Self.contents(member.directory)
    // An empty database and empty directories may have been made where there were none.
    for made in ["member/snap/db", "member/wal"] where before[made] == nil { after[made] = nil }
    // The repair of a torn end keeps what was there.
    for name in after.keys where name.hasSuffix(".broken") {
      after[String(name.dropLast(".broken".count))] = after.removeValue(forKey: name)
    }
    #expect(after == before)
  }

  /// A raft snapshot that the log does not know is not used: the log decides, as in Go etcd.
  @Test func snapshotAheadOfTheLog() throws {
    let cluster = try Self.stopped(Binaries.ours)
    let member = cluster.members[0]
    let snap = member.directory + "/member/snap"
    let newest = try #require(
      try FileManager.default.contentsOfDirectory(atPath: snap)
        .filter { $0.hasSuffix(".snap") }.max())
    try FileManager.default.copyItem(
      atPath: snap + "/" + newest, toPath: snap + "/000000000000ffff-000000000000ffff.snap")
    for binary in [Binaries.ours, Binaries.go35].compactMap({ $0 }) {
      member.start(binary: binary)
      try member.waitHealthy()
      let got = run(
        try #require(Binaries.ctl35),
        ["--endpoints", member.endpoint, "get", "", "--prefix", "--count-only", "-w", "fields"])
      #expect(got.output.contains("\"Count\" : 30"), "\(got)")
      member.stop()
    }
  }

  /// What a newer etcd wrote is refused before anything is changed.
  @Test func newerVersions() throws {
    let cluster = try Self.stopped(Binaries.ours)
    let member = cluster.members[0]
    let migrated = run(
      Binaries.ourUtl, ["migrate", "--data-dir", member.directory, "--target-version", "3.6"])
    #expect(migrated.status == 0, "\(migrated)")
    let before = Self.contents(member.directory)
    let log = Self.refusal(member)
    #expect(log.contains("storage version 3.6 of the data directory is newer"), "\(log)")
    #expect(log.contains("etcdctl downgrade enable 3.5"), "\(log)")
    #expect(Self.contents(member.directory) == before)
    let back = run(
      Binaries.ourUtl, ["migrate", "--data-dir", member.directory, "--target-version", "3.5"])
    #expect(back.status == 0, "\(back)")
    member.start()
    try member.waitHealthy()
    member.stop()
    // The other way round: Go etcd 3.4 refuses what we made a cluster of 3.5.
    if let older = Binaries.go34 {
      let log = Self.refusal(member, older)
      #expect(log.contains("lower than determined cluster version"), "\(log)")
    }
  }

  /// What a cluster of a newer etcd left is refused with an advice that works: the keys begin a new cluster, of ours
  /// and of Go's, and what was there stays.
  @Test(arguments: ["3.6.0", "3.7.0"])
  func newerClusters(_ version: String) throws {
    let cluster = try Self.stopped(Binaries.ours)
    let member = cluster.members[0]
    let database = member.directory + "/member/snap/db"
    let mark = Bytes(version)
    try Self.change(
      database, [("meta", "storageVersion", mark), ("cluster", "clusterVersion", mark)])
    let before = Self.contents(member.directory)
    let short = String(version.dropLast(2))
    #expect(Self.refusal(member).contains("storage version \(short) of the data directory"))
    #expect(Self.contents(member.directory) == before)
    // As after etcdutl migrate: the cluster's version is left.
    try Self.change(database, [("meta", "storageVersion", nil)])
    let log = Self.refusal(member)
    #expect(log.contains("lower than determined cluster version"), "\(log)")
    #expect(log.contains("etcdutl snapshot restore DATA-DIR/member/snap/db"), "\(log)")
    try Self.change(database, [("meta", "storageVersion", mark)])
    for binary in [Binaries.ours, Binaries.go35].compactMap({ $0 }) {
      let new = Cluster([binary])
      let one = new.members[0]
      let peer = "http://127.0.0.1:\(one.peerPort)"
      let restored = run(
        Binaries.ourUtl,
        [
          "snapshot", "restore", database, "--skip-hash-check", "--data-dir", one.directory,
          "--name", one.name, "--initial-cluster", "\(one.name)=\(peer)",
          "--initial-advertise-peer-urls", peer,
        ])
      #expect(restored.status == 0, "\(restored)")
      #expect(restored.error.contains("is of a newer etcd"), "\(restored)")
      try new.start()
      let got = run(
        try #require(Binaries.ctl35),
        ["--endpoints", one.endpoint, "get", "", "--prefix", "--count-only", "-w", "fields"])
      #expect(got.output.contains("\"Count\" : 30"), "\(got)")
    }
  }

  /// Writes or deletes rows of a database that nobody has open.
  private static func change(
    _ path: String, _ rows: [(bucket: Bytes, key: Bytes, value: Bytes?)]
  ) throws {
    let database = try BoltDatabase(RealFileSystem(), path: path)
    defer { database.close() }
    try database.commit(
      rows.map { row in
        BoltChange(bucket: row.bucket, operations: [BoltOperation(key: row.key, value: row.value)])
      })
  }

  /// Runs a server as a user who may not write, and compares the words with Go's.
  @Test(.enabled(if: geteuid() == 0 && Binaries.go35 != nil, "only root can become another user"))
  func withoutPermission() throws {
    let official = try #require(Binaries.go35)
    let scratch = Scratch()
    // Somebody else must reach the binaries and the directory.
    chmod(scratch.path, 0o755)
    let denied = scratch.path + "/denied"
    try FileManager.default.createDirectory(atPath: denied, withIntermediateDirectories: false)
    chmod(denied, 0o755)
    var reasons: [[String]] = []
    for (name, binary) in [("go", official), ("ours", Binaries.ours)] {
      let copy = scratch.path + "/" + name
      try FileManager.default.copyItem(atPath: binary, toPath: copy)
      chmod(copy, 0o755)
      reasons.append(
        try ["", "/new"].map { suffix in
          let ports = freePorts(2)
          let done = run(
            "/usr/bin/setpriv",
            [
              "--reuid", "65534", "--regid", "65534", "--clear-groups", copy, "--data-dir",
              denied + suffix, "--listen-client-urls", "http://127.0.0.1:\(ports[0])",
              "--advertise-client-urls", "http://127.0.0.1:\(ports[0])", "--listen-peer-urls",
              "http://127.0.0.1:\(ports[1])",
            ], timeout: 15)
          #expect(done.status == 1, "\(done)")
          let reason = try #require(
            (done.output + done.error).firstMatch(of: /"error":"(cannot access [^"]*)"/), "\(done)")
          return String(reason.1)
        })
    }
    #expect(reasons[0] == reasons[1])
  }

  /// A disk that fills up ends the member with the reason; with space again it has all it promised.
  @Test(.enabled(if: Binaries.canMount, "a small file system needs root and mount(8)"))
  func fullDisk() throws {
    let scratch = Scratch()
    let disk = scratch.path + "/disk"
    try FileManager.default.createDirectory(atPath: disk, withIntermediateDirectories: false)
    let mounted = run("/usr/bin/mount", ["-t", "tmpfs", "-o", "size=70m", "tmpfs", disk])
    #expect(mounted.status == 0, "\(mounted)")
    defer { _ = run("/usr/bin/umount", [disk]) }
    let ports = freePorts(2)
    let member = Member(
      name: "m", binary: Binaries.ours, directory: disk + "/m", clientPort: ports[0],
      peerPort: ports[1], cluster: "m=http://127.0.0.1:\(ports[1])",
      // The disk is smaller than the quota: it is the disk that ends.
      extra: ["--quota-backend-bytes", "1000000000", "--snapshot-count", "1000000"])
    let ctl = try #require(Binaries.ctl35)
    member.start()
    try member.waitHealthy()
    let value = String(repeating: "x", count: 100_000)
    var acknowledged = 0
    for n in 0..<400 {
      let done = run(
        ctl, ["--endpoints", member.endpoint, "--command-timeout", "3s", "put", "key\(n)"],
        input: value)
      guard done.status == 0 else { break }
      acknowledged += 1
    }
    #expect(acknowledged > 5 && acknowledged < 400)
    let deadline = Date().addingTimeInterval(15)
    while member.isRunning, Date() < deadline { usleep(20_000) }
    #expect(!member.isRunning, "a member without a disk goes on")
    #expect(member.log.contains("No space left on device"), "\(member.log.suffix(2000))")
    #expect(run("/usr/bin/mount", ["-o", "remount,size=300m", disk]).status == 0)
    member.start()
    try member.waitHealthy()
    let got = run(
      ctl, ["--endpoints", member.endpoint, "get", "", "--prefix", "--count-only", "-w", "fields"])
    let found = try #require(got.output.firstMatch(of: /"Count" : (\d+)/).flatMap { Int($0.1) })
    #expect(found == acknowledged || found == acknowledged + 1, "\(found) of \(acknowledged)")
    member.stop()
  }
}
