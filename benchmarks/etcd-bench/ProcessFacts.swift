import Foundation

/// What /proc says of a running process.
enum ProcessFacts {
  /// User and system time of all its threads in seconds, in steps of a clock tick.
  static func cpuSeconds(_ pid: Int32) throws(BenchError) -> Double {
    let text = try read("/proc/\(pid)/stat")
    // The name in parentheses may hold spaces; fields are counted behind it, from the third.
    guard let close = text.lastIndex(of: ")") else { throw BenchError("stat of \(pid): \(text)") }
    let fields = text[text.index(after: close)...].split(separator: " ")
    guard fields.count > 12, let user = Double(fields[11]), let system = Double(fields[12]) else {
      throw BenchError("stat of \(pid): \(text)")
    }
    return (user + system) / Double(sysconf(Int32(_SC_CLK_TCK)))
  }

  /// Bytes of anonymous memory: heap and stacks, without mapped files.
  static func anonymousBytes(_ pid: Int32) throws(BenchError) -> Double {
    let text = try read("/proc/\(pid)/smaps_rollup")
    for line in text.split(separator: "\n") where line.hasPrefix("Anonymous:") {
      if let kibibytes = line.split(separator: " ").dropFirst().first.flatMap({ Double($0) }) {
        return kibibytes * 1024
      }
    }
    throw BenchError("smaps_rollup of \(pid) has no line Anonymous")
  }

  private static func read(_ path: String) throws(BenchError) -> String {
    do { return try String(contentsOfFile: path, encoding: .utf8) } catch {
      throw BenchError("\(path): \(error)")
    }
  }
}

/// What the numbers depend on.
struct MachineFacts {
  let lines: [String]

  /// - Parameter directory: where the data directories are; its disk is measured.
  init(directory: String) throws(BenchError) {
    let cpu = try? String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8)
    let model = cpu?.split(separator: "\n").first { $0.hasPrefix("model name") }
      .flatMap { $0.split(separator: ":").last }?.trimmingCharacters(in: .whitespaces)
    let memory = Double(ProcessInfo.processInfo.physicalMemory) / Double(1 << 30)
    let sync = try Self.syncMicroseconds(directory)
    let load = try runProgram("h2load", ["--version"])
    lines = [
      "CPU: \(model ?? "unknown"), \(ProcessInfo.processInfo.processorCount) cores",
      "Memory: \(fixed(memory, 1)) GiB",
      "Kernel: \(try runProgram("uname", ["-srm"]).trimmingCharacters(in: .newlines))",
      "Disk: write of 4 KiB and fdatasync, p50 \(fixed(quantile(sync, 0.5), 0)) µs, "
        + "p99 \(fixed(quantile(sync, 0.99), 0)) µs",
      "Load: \(load.trimmingCharacters(in: .newlines)), one thread, on the same machine",
    ]
  }

  /// Sorted times of appends of 4 KiB made durable.
  private static func syncMicroseconds(_ directory: String) throws(BenchError) -> [Double] {
    let scratch = try Scratch(in: directory)
    let file = open(scratch.path + "/sync", O_WRONLY | O_CREAT, 0o600)
    guard file >= 0 else { throw BenchError("cannot write to \(directory)") }
    defer { close(file) }
    let block = [UInt8](repeating: 7, count: 4096)
    guard posix_fallocate(file, 0, 4 << 20) == 0, fsync(file) == 0 else {
      throw BenchError("cannot allocate in \(directory)")
    }
    var times: [Double] = []
    for _ in 0..<1000 {
      let begin = now()
      guard write(file, block, block.count) == block.count, fdatasync(file) == 0 else {
        throw BenchError("cannot write to \(directory)")
      }
      times.append((now() - begin) * 1e6)
    }
    return times.sorted()
  }
}
