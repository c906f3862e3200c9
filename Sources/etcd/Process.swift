import EtcdConfig
import EventLoops
import Platform

/// What the process gets from the system and says to it.
enum Process {
  /// A number that differs between members: election timeouts are drawn with it.
  static func seed() -> UInt64 {
    var generator = SystemRandomNumberGenerator()
    return generator.next()
  }

  static func print(_ text: String) {
    StandardStreams.write(text, to: StandardStreams.output)
  }
  static func printError(_ text: String) {
    StandardStreams.write(text, to: StandardStreams.error)
  }

  /// The beginning of a file, as much as shows that it has more than `bytesMax`.
  static func read(_ path: String, _ bytesMax: Int) throws(UnreadableFile) -> [UInt8] {
    let file = Descriptor.openToRead(path)
    guard file >= 0 else {
      throw UnreadableFile("open \(path): \(SystemError.last.description.lowercased())")
    }
    Descriptor.close(file)
    guard !Paths.isDirectory(path) else { throw UnreadableFile("read \(path): is a directory") }
    // checked: a constant
    guard let text = SystemFiles.bytes(of: path, bytesMax: bytesMax + 1) else {
      throw UnreadableFile("read \(path): \(SystemError.last.description.lowercased())")
    }
    return text
  }

  /// What Go calls a signal.
  static func name(of number: Int32) -> String {
    switch number {
    case Signals.interrupt: "interrupt"
    case Signals.terminate: "terminated"
    default: "signal \(number)"
    }
  }

  /// A number that grows with what the process reads and computes, to tell a start that takes long from one
  /// that stands still.
  static var workDone: UInt64 {
    let ticks = ProcessFacts.threadTimes.reduce(UInt64(0)) { $0 &+ $1.user &+ $1.system }
    let read = SystemFiles.text(of: "/proc/self/io")?.split(separator: "\n").compactMap {
      $0.hasPrefix("read_bytes:")
        ? $0.split(separator: " ").last.flatMap { UInt64($0) } : nil
    }
    return ticks &+ (read ?? []).reduce(0, &+)
  }

  /// Keeps all memory of the process in RAM.
  /// - Returns: why the system does not allow it; `nil` when it does.
  static func lockMemory() -> String? {
    ProcessMemory.lock().map { "mlock error: \($0.lowercased())" }
  }
}
