import Bytes
import EventLoops
import Platform

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
    Descriptor.isTerminal(StandardStreams.output)
      && ProcessEnvironment.variables["NO_COLOR"]?.isEmpty ?? true
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

  deinit { if descriptor >= 0 { Descriptor.close(descriptor) } }

  func write(_ line: Bytes) {
    if !line.isEmpty { lastLine = line[0..<min(line.count, 512)].string }
    if descriptor < 0 || size > Self.bytesMax { reopen() }
    guard descriptor >= 0 else { return }
    var whole = [UInt8](line)
    whole.append(0x0a)
    Descriptor.write(Bytes(whole), to: descriptor)
    size += whole.count
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
