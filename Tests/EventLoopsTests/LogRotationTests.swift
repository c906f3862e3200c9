import Bytes
import Foundation
import Synchronization
import TestSupport
import Testing

@testable import EventLoops

@Suite struct LogRotationTests {
  private let scratch = Scratch()

  /// 2026-02-03T04:05:06.007Z, a millisecond later with each look.
  private final class Clock: Sendable {
    private let milliseconds = Mutex<Int64>(1_770_091_506_006)
    var nanoseconds: Int64 {
      milliseconds.withLock {
        $0 += 1
        return $0 * 1_000_000
      }
    }
    func advance(seconds: Int64) { milliseconds.withLock { $0 += seconds * 1000 } }
  }

  private func open(
    _ name: String, _ policy: RotatingLogFile.Policy, _ clock: Clock
  ) throws -> RotatingLogFile {
    try RotatingLogFile(path: scratch.path + "/" + name, policy: policy) { clock.nanoseconds }
  }

  private var names: [String] {
    ((try? FileManager.default.contentsOfDirectory(atPath: scratch.path)) ?? []).sorted()
  }

  private func text(_ name: String) -> String {
    String(
      decoding: FileManager.default.contents(atPath: scratch.path + "/" + name) ?? Data(),
      as: UTF8.self)
  }

  @Test func aFullFileIsPutAsideUnderItsTime() throws {
    let file = try open("etcd.log", .init(maxBytes: 10), Clock())
    for line in ["12345\n", "1234\n", "abc\n"] { file.write(Bytes(line)) }
    file.close()
    // 6 + 5 bytes are more than 10; the third line still fits.
    #expect(names == ["etcd-2026-02-03T04-05-06.007.log", "etcd.log"])
    #expect(text("etcd-2026-02-03T04-05-06.007.log") == "12345\n")
    #expect(text("etcd.log") == "1234\nabc\n")
  }

  @Test func aLineLongerThanAFileIsKept() throws {
    let file = try open("log", .init(maxBytes: 4), Clock())
    for line in ["1234567\n", "abcdefg\n"] { file.write(Bytes(line)) }
    file.close()
    #expect(names == ["log", "log-2026-02-03T04-05-06.007"])
    #expect(text("log") == "abcdefg\n")
  }

  @Test func anExistingFileCountsAndItsFoldersAreMade() throws {
    let path = scratch.path + "/a/b/etcd.log"
    try FileManager.default.createDirectory(
      atPath: scratch.path + "/a/b", withIntermediateDirectories: true)
    try "12345678".write(toFile: path, atomically: true, encoding: .utf8)
    let clock = Clock()
    let file = try RotatingLogFile(path: path, policy: .init(maxBytes: 10)) { clock.nanoseconds }
    file.write("xyz\n")
    file.close()
    let deep = try RotatingLogFile(path: scratch.path + "/c/d/e", policy: .init(maxBytes: 10))
    deep.write("1\n")
    deep.close()
    #expect(text("a/b/etcd-2026-02-03T04-05-06.007.log") == "12345678")
    #expect(text("c/d/e") == "1\n")
  }

  @Test func onlyTheNewestAreKept() throws {
    let file = try open("etcd.log", .init(maxBytes: 2, maxBackups: 2), Clock())
    for line in ["1\n", "2\n", "3\n", "4\n", "5\n"] { file.write(Bytes(line)) }
    try "not ours".write(
      toFile: scratch.path + "/etcd-notes.log", atomically: true, encoding: .utf8)
    file.close()
    let kept = names.filter { $0.hasPrefix("etcd-2026") }.map(text)
    #expect(kept == ["3\n", "4\n"])
    #expect(text("etcd-notes.log") == "not ours")
  }

  @Test func oldOnesAreRemoved() throws {
    let clock = Clock()
    let file = try open("etcd.log", .init(maxBytes: 2, maxAge: 86_400), clock)
    for line in ["1\n", "2\n"] { file.write(Bytes(line)) }
    clock.advance(seconds: 86_401)
    file.write("3\n")
    file.close()
    #expect(names.filter { $0.hasPrefix("etcd-") }.map(text) == ["2\n"])
  }

  @Test func theyAreCompressed() throws {
    let file = try open("etcd.log", .init(maxBytes: 2, maxBackups: 5, compress: true), Clock())
    for line in ["1\n", "2\n", "3\n"] { file.write(Bytes(line)) }
    file.close()
    let packed = names.filter { $0.hasSuffix(".log.gz") }
    #expect(packed.count == 2)
    #expect(names.count == 3)
    let process = Process()
    let output = Pipe()
    process.executableURL = URL(fileURLWithPath: "/bin/gzip")
    process.arguments = ["-dc"] + packed.map { scratch.path + "/" + $0 }
    process.standardOutput = output
    try process.run()
    process.waitUntilExit()
    #expect(
      String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self) == "1\n2\n"
    )
  }

  @Test func namesMayHaveLocalTime() {
    let utc = LogFileNames(path: "/x/etcd.log", localTime: false)
    #expect(utc.backup(milliseconds: 1_770_091_506_007) == "/x/etcd-2026-02-03T04-05-06.007.log")
    let zone = TimeZone.current.secondsFromGMT(
      for: Date(timeIntervalSince1970: 1_770_091_506.007))
    let local = LogFileNames(path: "etcd.log", localTime: true)
    #expect(
      local.stamp(milliseconds: 1_770_091_506_007)
        == utc.stamp(milliseconds: 1_770_091_506_007 + Int64(zone) * 1000))
  }

  @Test func aFolderThatIsAFileIsAnError() throws {
    try "x".write(toFile: scratch.path + "/file", atomically: true, encoding: .utf8)
    #expect(throws: ChannelError.self) {
      try RotatingLogFile(path: scratch.path + "/file/etcd.log", policy: .init(maxBytes: 1))
    }
  }
}

@Suite struct LogFloodTests {
  @Test func eachMessageHasAHundredASecondAndThenEachHundredth() {
    let sampler = LogSampler()
    func admitted(_ message: String, _ count: Int, at microseconds: Int64) -> Int {
      (0..<count).filter { _ in sampler.admits(.warn, message, microseconds: microseconds) }.count
    }
    #expect(admitted("flood", 1000, at: 5) == 109)
    #expect(admitted("other", 3, at: 6) == 3)
    #expect(sampler.admits(.error, "flood", microseconds: 7))
    #expect(admitted("flood", 10, at: 1_000_004) == 0)
    #expect(admitted("flood", 10, at: 1_000_005) == 10)
    // A clock that was set back begins a new second.
    #expect(admitted("flood", 200, at: 1) == 101)
  }

  @Test func theLastWordsAreNeverDropped() {
    let sampler = LogSampler()
    for level in [LogLevel.dpanic, .panic, .fatal] {
      #expect((0..<1000).allSatisfy { _ in sampler.admits(level, "m", microseconds: 1) })
    }
  }

  @Test func aSampledLoggerWritesLess() {
    for (isSampled, expected) in [(false, 150), (true, 100)] {
      let written = Counter()
      let logger = Logger(
        targets: [.sink { _ in written.add() }], encoding: .json, level: .info,
        isSampled: isSampled)
      // As fast as they come: the test would have to take a second for a window to end.
      for _ in 0..<150 { logger.info("m") }
      #expect(written.value == expected)
    }
  }
}

@Suite struct JournalTests {
  @Test func linesBecomeDatagrams() throws {
    func datagram(_ level: LogLevel, _ message: String, _ encoding: LogEncoding) -> [UInt8] {
      let line = LogLine(
        level: level, microseconds: 0, logger: "", file: "EtcdServer/A.swift", line: 7,
        message: message, fields: [])
      return Array(Journal.datagram(line, line.encoded(encoding), "etcd"))
    }
    let head = "SYSLOG_IDENTIFIER=etcd\nPACKAGE=EtcdServer\n"
    #expect(
      String(decoding: datagram(.warn, "m", .json), as: UTF8.self)
        == "PRIORITY=4\n\(head)MESSAGE={\"level\":\"warn\",\"ts\":\"1970-01-01T00:00:00.000000Z\","
        + "\"caller\":\"EtcdServer/A.swift:7\",\"msg\":\"m\"}\n")
    let text = "1970-01-01T00:00:00.000000Z\tpanic\tEtcdServer/A.swift:7\ta\nb"
    #expect(
      datagram(.panic, "a\nb", .console)
        == Array("PRIORITY=2\n\(head)MESSAGE\n".utf8)
        + [UInt8(text.utf8.count), 0, 0, 0, 0, 0, 0, 0] + Array("\(text)\n".utf8))
  }

  @Test func aMissingJournalIsAnError() {
    #expect(throws: ChannelError.self) {
      try Journal(identifier: "etcd", path: Scratch().path + "/none")
    }
    #expect(throws: ChannelError.self) {
      try Journal(identifier: "etcd", path: "/" + String(repeating: "x", count: 200))
    }
  }

  @Test func aSocketGetsThem() throws {
    let scratch = Scratch()
    let path = scratch.path + "/journal"
    let receiver = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue), 0)
    defer { close(receiver) }
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: Array(path.utf8)) }
    let bound = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(receiver, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
      }
    }
    try #require(bound == 0)
    let journal = try Journal(identifier: "etcd", path: path)
    Logger(targets: [.journal(journal)], encoding: .json, level: .info).error("seen")
    var buffer = [UInt8](repeating: 0, count: 4096)
    let count = recv(receiver, &buffer, buffer.count, Int32(MSG_DONTWAIT))
    let text = String(decoding: buffer[..<max(0, count)], as: UTF8.self)
    let head = "PRIORITY=3\nSYSLOG_IDENTIFIER=etcd\nPACKAGE=EventLoopsTests\nMESSAGE={"
    #expect(text.hasPrefix(head))
    #expect(text.hasSuffix("\"msg\":\"seen\"}\n"))
  }
}
