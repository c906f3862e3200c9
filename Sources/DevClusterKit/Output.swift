import Bytes
import EventLoops

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// Writes lines of several members to one stream, each with its member's name in front. Pure.
public struct LinePrefix: Sendable {
  private static let colours = [36, 33, 32, 35, 34, 31, 96]
  private let width: Int
  private let isColoured: Bool

  public init(names: [String], isColoured: Bool) {
    width = names.map(\.count).max() ?? 0
    self.isColoured = isColoured
  }

  /// The prefix of member number `index`, counted from 0.
  public func text(_ name: String, index: Int) -> String {
    let padded = name + String(repeating: " ", count: max(0, width - name.count))
    guard isColoured else { return "\(padded) | " }
    return "\u{1b}[\(Self.colours[index % Self.colours.count])m\(padded) |\u{1b}[0m "
  }

  /// Whether standard output wants colours: a terminal, and nobody said no.
  /// - Source: https://no-color.org
  static var wanted: Bool {
    isatty(1) == 1 && getenv("NO_COLOR").map { $0.pointee == 0 } ?? true
  }
}

/// The log file of a member, appended to; begun anew when it grows too long.
final class LogFile {
  private static let bytesMax = 64 << 20
  private let path: String
  private var descriptor: Int32 = -1
  private var size = 0
  /// The last line written; says why a member ended.
  private(set) var lastLine = ""

  init(_ path: String) { self.path = path }

  deinit { if descriptor >= 0 { close(descriptor) } }

  func write(_ line: Bytes) {
    if !line.isEmpty { lastLine = line[0..<min(line.count, 512)].string }
    if descriptor < 0 || size > Self.bytesMax { reopen() }
    guard descriptor >= 0 else { return }
    var whole = [UInt8](line)
    whole.append(0x0a)
    System.writeAll(descriptor, whole)
    size += whole.count
  }

  private func reopen() {
    if descriptor >= 0 {
      close(descriptor)
      rename(path, path + ".1")
    }
    descriptor = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0o600)
    size = descriptor >= 0 ? max(0, Int(lseek(descriptor, 0, SEEK_END))) : 0
  }
}
