import Foundation
import Testing

@testable import DevClusterKit

/// What somebody sees who starts a cluster in the foreground.
@Suite struct TerminalTests {
  /// As much of a terminal as frames need: printable characters, line feeds, cursor up, erase below, colours.
  /// - Source: ECMA-48.
  struct Screen {
    private(set) var rows: [[Character]] = [[]]
    private var row = 0
    private var column = 0
    private let columns: Int

    init(columns: Int) { self.columns = columns }

    var lines: [String] { rows.map { String($0) } }

    mutating func take(_ text: String) {
      var left = Substring(text)
      while let character = left.popFirst() {
        switch character {
        case "\u{1b}":
          let sequence = left.prefix { !$0.isLetter }
          left = left.dropFirst(sequence.count)
          control(left.removeFirst(), Int(sequence.dropFirst()) ?? 1)
        case "\r": column = 0
        case "\n", "\r\n":
          column = 0
          down()
        default: put(character)
        }
      }
    }

    private mutating func control(_ final: Character, _ number: Int) {
      switch final {
      case "A": row = max(0, row - number)
      case "J":
        rows.removeSubrange((row + 1)...)
        rows[row] = Array(rows[row].prefix(column))
      default: break
      }
    }

    private mutating func down() {
      row += 1
      if row == rows.count { rows.append([]) }
    }

    private mutating func put(_ character: Character) {
      if column == columns {
        column = 0
        down()
      }
      while rows[row].count <= column { rows[row].append(" ") }
      rows[row][column] = character
      column += 1
    }
  }

  /// All lines are there once, in order, and below them the last table, whatever its size and theirs.
  @Test func tablesStayBelowLines() {
    let seed = UInt64.random(in: .min ... .max)
    print("seed \(seed)")
    var random = SplitMix(state: seed)
    for _ in 0..<200 {
      let columns = Int.random(in: 5...40, using: &random)
      var screen = Screen(columns: columns)
      var sticky = StickyTable()
      var written: [String] = []
      var table: [String] = []
      for frame in 0..<20 {
        let lines = (0..<Int.random(in: 0...3, using: &random)).map { line in
          "\(frame).\(line) "
            + String(repeating: "x", count: Int.random(in: 0...60, using: &random))
        }
        table = (0..<Int.random(in: 0...4, using: &random)).map { line in
          String(repeating: "t\(line)", count: Int.random(in: 1...40, using: &random))
        }
        let text = sticky.frame(lines.map { Array($0.utf8) }, table: table, columns: columns)
        screen.take(String(decoding: text, as: UTF8.self))
        written += lines
      }
      var expected = Screen(columns: columns)
      for line in written { expected.take(line + "\n") }
      for line in table { expected.take(String(line.prefix(columns)) + "\n") }
      #expect(screen.lines == expected.lines)
    }
  }

  /// A narrower terminal has broken the lines of the table before.
  @Test func tablesAreTakenBackAfterAChangeOfWidth() {
    var sticky = StickyTable()
    _ = sticky.frame([], table: [String(repeating: "a", count: 30), "b"], columns: 40)
    let frame = sticky.frame([], table: [], columns: 10)
    #expect(String(decoding: frame, as: UTF8.self) == "\u{1b}[4A\r\u{1b}[J")
  }

  /// Runs `up` at a terminal of its own and writes what comes into a file, until it is told to press Ctrl-C.
  private static let terminal = """
    import fcntl, os, pty, signal, struct, sys, termios
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    rows, columns, output = int(sys.argv[1]), int(sys.argv[2]), open(sys.argv[3], "wb", buffering=0)
    child, master = pty.fork()
    if child == 0:
      os.execv(sys.argv[4], sys.argv[4:])
    fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    signal.signal(signal.SIGTERM, lambda *_: os.write(master, b"\\x03"))
    while True:
      try:
        data = os.read(master, 65536)
      except OSError:
        break
      if not data: break
      output.write(data)
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    """

  private func foreground(
    _ harness: Harness, rows: Int, columns: Int, type: String, _ body: (() -> String) throws -> Void
  ) throws -> (status: Int32, output: String) {
    let file = harness.directory + ".terminal"
    try Data().write(to: URL(fileURLWithPath: file))
    defer { try? FileManager.default.removeItem(atPath: file) }
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/python3")
    process.arguments =
      ["-c", Self.terminal, String(rows), String(columns), file, Harness.program, "up", "3"]
      + ["--dir", harness.directory, "--base-port", String(harness.basePort), "--logs", "info"]
    process.environment = ProcessInfo.processInfo.environment.merging(["TERM": type]) { $1 }
    process.standardInput = FileHandle.nullDevice
    try process.run()
    defer { if process.isRunning { kill(process.processIdentifier, SIGKILL) } }
    let seen = { (try? String(contentsOfFile: file, encoding: .utf8)) ?? "" }
    try body(seen)
    kill(process.processIdentifier, SIGTERM)
    process.waitUntilExit()
    return (process.terminationStatus, seen())
  }

  @Test(
    .enabled(if: FileManager.default.isExecutableFile(atPath: "/usr/bin/python3")),
    arguments: [(40, 100), (40, 44), (8, 100)])
  func theTableIsKept(_ rows: Int, _ columns: Int) throws {
    let harness = try Harness()
    defer { harness.cleanUp() }
    let end = try foreground(harness, rows: rows, columns: columns, type: "xterm") {
      (seen) throws in
      func lines() -> [String] {
        var screen = Screen(columns: columns)
        screen.take(seen())
        return screen.lines
      }
      let isSmall = rows == 8
      #expect(
        Harness.eventually { lines().contains { $0.contains("── 3 of 3 healthy, leader m") } })
      #expect(Harness.eventually { isSmall == !lines().contains { $0.hasPrefix("MEMBER ") } })
      #expect(try harness.run("kill", "m2").status == 0)
      #expect(
        Harness.eventually { lines().contains { $0.contains("── 2 of 3 healthy, leader m") } })
      // One table, at the end, and lines of members and notes above it.
      let last = lines()
      let places = last.indices.filter { last[$0].contains(" healthy, leader m") }
      #expect(places.count == 1 && last.count - places[0] < 12, "\(last)")
      #expect(last[..<places[0]].contains { $0.contains("m1 |") })
      #expect(
        isSmall == !last[places[0]...].contains { $0.contains("stopped") }, "\(last)")
    }
    #expect(end.status == 0)
    var screen = Screen(columns: columns)
    screen.take(end.output)
    #expect(!screen.lines.contains { $0.contains(" healthy, leader m") })
    #expect(screen.lines.contains { $0.contains("stopping 2 members") })
  }

  /// A terminal that can nothing gets nothing but lines.
  @Test(.enabled(if: FileManager.default.isExecutableFile(atPath: "/usr/bin/python3")))
  func aDumbTerminalGetsLines() throws {
    let harness = try Harness()
    defer { harness.cleanUp() }
    let end = try foreground(harness, rows: 40, columns: 100, type: "dumb") { (seen) throws in
      #expect(Harness.eventually { seen().contains("MEMBER ") })
    }
    #expect(end.status == 0 && !end.output.contains("\u{1b}"))
  }
}
