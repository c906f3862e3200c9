import Bytes
import FileSystem
import Platform

/// The log file of a member, appended to; begun anew when it grows too long.
final class LogFile {
  private static let bytesMax = 64 << 20
  private let path: String
  private var descriptor: Int32 = -1
  private var size = 0
  /// The last line of this run.
  private var lastLine = ""
  /// The first line of this run that tells of an error.
  private var firstError: String?

  init(_ path: String) { self.path = path }

  deinit { if descriptor >= 0 { Descriptor.close(descriptor) } }

  /// Why a member ended, as far as it said: its first error; what comes after it is often its consequence, or
  /// the help. The last line where there is none.
  var lastWords: String { firstError ?? lastLine }

  /// A new run begins.
  func begin() {
    lastLine = ""
    firstError = nil
  }

  func write(_ line: Bytes) {
    note(line)
    if descriptor < 0 || size > Self.bytesMax { reopen() }
    guard descriptor >= 0 else { return }
    var whole = [UInt8](line)
    whole.append(0x0a)
    Descriptor.write(Bytes(whole), to: descriptor)
    size += whole.count
  }

  private func note(_ line: Bytes) {
    guard !line.isEmpty else { return }
    lastLine = line[0..<min(line.count, 512)].string
    guard firstError == nil else { return }
    let parsed = LogLine(lastLine)
    let isOfFlags =
      lastLine.hasPrefix("flag provided but not defined") || lastLine.hasPrefix("error verifying")
    if isOfFlags || (parsed.level ?? .info) >= .error { firstError = lastLine }
  }

  private func reopen() {
    if descriptor >= 0 {
      Descriptor.close(descriptor)
      try? Paths.rename(path, to: path + ".1")
    }
    descriptor = Descriptor.openToAppend(path, permissions: 0o600)
    size = Descriptor.size(of: descriptor)
  }
}
