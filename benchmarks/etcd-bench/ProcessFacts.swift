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

  /// What it holds now, without walking its mappings: cheap enough to be sampled.
  static func memory(_ pid: Int32) throws(BenchError) -> ProcessMemory {
    let text = try read("/proc/\(pid)/status")
    func bytes(_ name: String) throws(BenchError) -> Double {
      for line in text.split(separator: "\n") where line.hasPrefix(name) {
        let fields = line.split { $0 == " " || $0 == "\t" }
        if let kibibytes = fields.dropFirst().first.flatMap({ Double($0) }) {
          return kibibytes * 1024
        }
      }
      throw BenchError("status of \(pid) has no line \(name)")
    }
    return ProcessMemory(resident: try bytes("VmRSS:"), anonymous: try bytes("RssAnon:"))
  }

  /// Seconds that each of its threads has run, by thread id.
  static func threadSeconds(_ pid: Int32) -> [String: Double] {
    let directory = "/proc/\(pid)/task"
    let threads = (try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []
    var seconds: [String: Double] = [:]
    for thread in threads {
      let text = try? read("\(directory)/\(thread)/schedstat")
      if let time = text?.split(separator: " ").first.flatMap({ Double($0) }) {
        seconds[thread] = time / 1e9
      }
    }
    return seconds
  }

  /// Seconds that children which have ended, and were waited for, have run.
  static func childrenSeconds() -> Double {
    var usage = rusage()
    // -1 is RUSAGE_CHILDREN, which glibc's header gives another type.
    getrusage(-1, &usage)
    let micros = usage.ru_utime.tv_usec + usage.ru_stime.tv_usec
    return Double(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) + Double(micros) / 1e6
  }

  private static func read(_ path: String) throws(BenchError) -> String {
    do { return try String(contentsOfFile: path, encoding: .utf8) } catch {
      throw BenchError("\(path): \(error)")
    }
  }
}
