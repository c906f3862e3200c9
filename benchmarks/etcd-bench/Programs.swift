import Foundation

/// Runs a program to its end.
/// - Returns: its standard output and error.
/// - Throws: `BenchError` when it cannot be started or ends with a status other than 0.
@discardableResult
func runProgram(_ name: String, _ arguments: [String]) throws(BenchError) -> String {
  let process = Process()
  process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
  process.arguments = [name] + arguments
  let pipe = Pipe()
  process.standardOutput = pipe
  process.standardError = pipe
  process.standardInput = FileHandle.nullDevice
  do { try process.run() } catch { throw BenchError("\(name): \(error)") }
  let data = pipe.fileHandleForReading.readDataToEndOfFile()
  process.waitUntilExit()
  let output = String(decoding: data, as: UTF8.self)
  guard process.terminationStatus == 0 else {
    throw BenchError("\(name) ended with status \(process.terminationStatus): \(output)")
  }
  return output
}

/// A directory that goes with the object, unless it is kept.
final class Scratch {
  let path: String
  private let keeps: Bool

  /// - Throws: `BenchError` when it cannot be made.
  init(in parent: String, keeps: Bool = false) throws(BenchError) {
    self.keeps = keeps
    path = parent + "/etcd-bench-" + UUID().uuidString
    do {
      try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    } catch { throw BenchError("\(path): \(error)") }
  }

  deinit { if !keeps { try? FileManager.default.removeItem(atPath: path) } }
}

/// Seconds on a clock that does not jump.
func now() -> Double {
  var time = timespec()
  clock_gettime(CLOCK_MONOTONIC, &time)
  return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
}

/// The value below which a share of the sorted values lies; 0 for none.
func quantile(_ sorted: [Double], _ share: Double) -> Double {
  guard !sorted.isEmpty else { return 0 }
  return sorted[min(sorted.count - 1, Int(Double(sorted.count) * share))]
}

func median(_ values: [Double]) -> Double {
  let sorted = values.sorted()
  guard !sorted.isEmpty else { return 0 }
  let middle = sorted.count / 2
  return sorted.count % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}
