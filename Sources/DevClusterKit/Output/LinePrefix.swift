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
    Descriptor.isTerminal(StandardStreams.output) && ProcessEnvironment.variables["TERM"] != "dumb"
      && ProcessEnvironment.variables["NO_COLOR"]?.isEmpty ?? true
  }
}
