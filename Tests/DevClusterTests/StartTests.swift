import Foundation
import Platform
import Testing

@testable import DevClusterKit

/// Starts beside a machine that is busy with connections of others.
@Suite(.serialized) struct StartTests {
  /// Makes and ends connections from ports of the range of which the system chooses; each stays in TIME_WAIT for a minute, on the side that ends
  /// it first. Says so once there are as many as asked for, and goes on making up for those that are over.
  private static let connections = """
    import signal, socket, sys, time
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    wanted = int(sys.argv[1])
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(128)
    address = listener.getsockname()
    port = 33000
    # Each from a port of its own: what the system would choose is used again after a second.
    def one():
      global port
      while True:
        port = port + 1 if port < 60000 else 33000
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
          client.bind(("127.0.0.1", port))
          client.connect(address)
          break
        except OSError:
          client.close()
      server, _ = listener.accept()
      client.close()
      server.close()
    for _ in range(wanted): one()
    print("ready", flush=True)
    while True:
      for _ in range(wanted // 20): one()
      time.sleep(1)
    """

  /// Sockets in TIME_WAIT.
  private static var waiting: Int {
    // `TCP: inuse 10 orphan 0 tw 1546 …`
    let words = (SystemFiles.text(of: "/proc/net/sockstat") ?? "").split(separator: " ")
    return words.firstIndex(of: "tw").flatMap { Int(words[$0 + 1]) } ?? 0
  }

  /// None of many starts fails for a port: `STARTS` says how many, on the standard ports and on ports that are found.
  @Test(.enabled(if: FileManager.default.isExecutableFile(atPath: "/usr/bin/python3")))
  func noStartFailsForAPort() throws {
    let starts = ProcessInfo.processInfo.environment["STARTS"].flatMap { Int($0) } ?? 3
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/python3")
    process.arguments = ["-c", Self.connections, "5000"]
    let output = Pipe()
    process.standardOutput = output
    process.standardInput = FileHandle.nullDevice
    try process.run()
    defer {
      kill(process.processIdentifier, SIGKILL)
      process.waitUntilExit()
    }
    #expect(output.fileHandleForReading.availableData.starts(with: Data("ready".utf8)))
    #expect(Self.waiting >= 4000)
    var times: [Double] = []
    for number in 0..<starts {
      let harness = try Harness()
      defer { harness.cleanUp() }
      let size = [1, 3, 1][number % 3]
      let words = [
        "up", String(size), "-d", "--ports", number % 2 == 0 ? "auto" : String(harness.basePort),
      ]
      let begin = Date()
      let up = try harness.run(words)
      times.append(Date().timeIntervalSince(begin))
      #expect(up.status == 0, "start \(number): \(up.error)")
      #expect(try harness.run("down").status == 0)
    }
    // checked: there was one start at least
    let sorted = times.sorted()
    print(
      "\(starts) starts beside \(Self.waiting) sockets in TIME_WAIT: median \(sorted[sorted.count / 2]) s,"
        + " 95th percentile \(sorted[sorted.count * 95 / 100]) s")
  }

  /// Who founds a cluster knows its members before it is asked: nobody is turned away, to dial once more.
  @Test func foundersKnowEachOther() throws {
    let harness = try Harness()
    defer { harness.cleanUp() }
    #expect(try harness.run("up", "5", "-d", "--ports", "auto").status == 0)
    let strangers = try harness.run("logs", "--grep", "failed to find remote peer in cluster")
    #expect(strangers.status == 0 && strangers.output.isEmpty, "\(strangers)")
    #expect(try harness.run("down").status == 0)
  }
}
