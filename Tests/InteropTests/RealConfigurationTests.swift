import Foundation
import TestSupport
import Testing

/// The command lines that tools in use have start a server that works.
@Suite(.serialized) struct RealConfigurationStartTests {
  @Test(arguments: RealConfiguration.all)
  func startsAndServes(_ real: RealConfiguration) throws {
    let scratch = Scratch()
    let ports = freePorts(3)
    let directory = scratch.path + "/data"
    let process = Foundation.Process()
    process.executableURL = URL(fileURLWithPath: Binaries.ours)
    process.arguments = real.arguments(
      client: ports[0], peer: ports[1], metrics: ports[2], directory: directory)
    process.environment = ProcessInfo.processInfo.environment
      .filter { !$0.key.hasPrefix("ETCD") }
      .merging(
        real.environment(
          client: ports[0], peer: ports[1], metrics: ports[2], directory: directory)
      ) { $1 }
    let path = scratch.path + "/log"
    _ = FileManager.default.createFile(atPath: path, contents: nil)
    process.standardError = FileHandle(forWritingAtPath: path)
    process.standardOutput = FileHandle.nullDevice
    try process.run()
    defer {
      process.terminate()
      process.waitUntilExit()
    }
    let deadline = Date().addingTimeInterval(30)
    var isHealthy = false
    while !isHealthy, Date() < deadline, process.isRunning {
      isHealthy =
        httpGet("http://127.0.0.1:\(ports[0])/health")?.contains("\"health\":\"true\"") == true
      if !isHealthy { usleep(20_000) }
    }
    let log = try String(contentsOfFile: path, encoding: .utf8)
    try #require(isHealthy, "\(real) does not serve; its log ends: \(log.suffix(3000))")
    if log.contains("serving metrics") {
      #expect(httpGet("http://127.0.0.1:\(ports[2])/readyz") == "ok\n")
    }
    if log.contains("pprof is enabled") {
      #expect(httpGet("http://127.0.0.1:\(ports[0])/debug/pprof/")?.contains("heap") == true)
    }
  }
}
