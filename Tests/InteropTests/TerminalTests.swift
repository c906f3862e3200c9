import Foundation
import Glibc
import TestSupport
import Testing

/// Passwords at a terminal.
@Suite(.serialized) struct TerminalTests {
  /// A terminal of which this is the other side.
  private static func terminal() throws -> (master: Int32, slave: Int32) {
    let master = open("/dev/ptmx", O_RDWR | O_NOCTTY)
    var (locked, number): (Int32, UInt32) = (0, 0)
    // TIOCSPTLCK and TIOCGPTN, which Swift does not see.
    try #require(ioctl(master, 0x4004_5431, &locked) == 0)
    try #require(ioctl(master, 0x8004_5430, &number) == 0)
    let slave = open("/dev/pts/\(number)", O_RDWR | O_NOCTTY)
    try #require(slave >= 0)
    return (master, slave)
  }

  @Test func passwordsAreTypedUnseen() throws {
    let cluster = Cluster([Binaries.ours])
    try cluster.start()
    for words in ["user add root:pw", "role add root", "user grant-role root root", "auth enable"] {
      #expect(cluster.ctl(EtcdctlTests.Step(words).arguments).status == 0)
    }
    let (master, slave) = try Self.terminal()
    defer { close(master) }
    let keyboard = FileHandle(fileDescriptor: master)
    let ctl = try Running(
      Binaries.ourCtl, ["--endpoints", cluster.endpoints, "--user", "root", "user", "add", "new"],
      [:], input: FileHandle(fileDescriptor: slave, closeOnDealloc: true))
    for (prompt, typed) in [
      ("Password of new: ", "secret"),
      ("Type password of new again for confirmation: ", "secret"), ("Password: ", "pw"),
    ] {
      try ctl.wait(for: prompt)
      keyboard.write(Data("\(typed)\n".utf8))
    }
    let done = ctl.result()
    #expect(done.status == 0 && done.output.contains("User new created"), "\(done)")
    // What a terminal echoes comes back; nothing but line ends does.
    var echo = [UInt8](repeating: 0, count: 4096)
    _ = fcntl(master, F_SETFL, O_NONBLOCK)
    let count = max(0, read(master, &echo, echo.count))
    let seen = String(decoding: echo[..<count], as: UTF8.self)
    #expect(!seen.contains("pw") && !seen.contains("secret"), "\(seen)")
    let login = run(
      Binaries.ourCtl,
      ["--endpoints", cluster.endpoints, "--user", "new:secret", "user", "get", "new"])
    #expect(!login.error.contains("authentication failed"), "\(login)")
  }

  /// What etcdctl shows on a terminal, which `lead` gives to it, until its end.
  private static func shown(
    _ words: [String], _ lead: (_ process: Process, _ terminal: FileHandle) -> Void
  ) throws -> String {
    let (master, slave) = try terminal()
    defer { close(master) }
    let process = Process()
    process.executableURL = URL(fileURLWithPath: Binaries.ourCtl)
    process.arguments = words
    lead(process, FileHandle(fileDescriptor: slave, closeOnDealloc: true))
    try process.run()
    process.waitUntilExit()
    #expect(process.terminationStatus == 0)
    var shown = [UInt8](repeating: 0, count: 65_536)
    _ = fcntl(master, F_SETFL, O_NONBLOCK)
    return String(decoding: shown[..<max(0, read(master, &shown, shown.count))], as: UTF8.self)
  }

  /// Progress is for people: a terminal gets a line that is gone in the end, a file gets none.
  @Test func progressIsShownOnATerminal() throws {
    let cluster = Cluster([Binaries.ours])
    try cluster.start()
    let scratch = Scratch()
    let words = ["--endpoints", cluster.endpoints, "snapshot", "save", scratch.path + "/s.db"]
    let text = try Self.shown(words) { process, terminal in
      process.standardError = terminal
      process.standardOutput = FileHandle.nullDevice
    }
    #expect(text.contains("\rfetched ") && text.contains("MB to come"), "\(text)")
    let unseen = run(Binaries.ourCtl, words)
    #expect(unseen.status == 0 && !unseen.error.contains("\r"), "\(unseen)")
  }

  /// `top` writes over the screen of a terminal, and one table behind the other elsewhere.
  @Test func topIsLiveOnATerminal() throws {
    let cluster = Cluster([Binaries.ours])
    try cluster.start()
    let words = [
      "--endpoints", cluster.endpoints, "top", "-n", "2", "--interval", "100ms",
    ]
    let screens = try Self.shown(words) { $0.standardOutput = $1 }.components(
      separatedBy: "\u{1B}[H\u{1B}[J")
    #expect(screens.count == 3 && screens.dropFirst().allSatisfy { $0.hasPrefix("MEMBER ") })
    let plain = run(Binaries.ourCtl, words)
    #expect(plain.status == 0 && !plain.output.contains("\u{1B}"), "\(plain)")
    #expect(plain.output.components(separatedBy: "MEMBER ").count == 3)
  }
}
