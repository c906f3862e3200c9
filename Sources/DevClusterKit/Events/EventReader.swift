import Bytes
import EventLoops
import JSON
import Platform

/// Shows the event log.
struct EventReader {
  let path: String
  let isJSON: Bool
  private static let pollMilliseconds: UInt32 = 50

  /// - Parameter isRunning: whether more may come; `nil` to end with what there is.
  func run(isRunning: (() -> Bool)?) {
    var lines = LineSplitter()
    var chunk = [UInt8](repeating: 0, count: 65_536)
    var file = Descriptor.openToRead(path)
    while true {
      let goesOn = isRunning?() ?? false
      if file < 0 { file = Descriptor.openToRead(path) }
      while file >= 0 {
        let count = Descriptor.read(file, into: &chunk)
        guard count > 0 else { break }
        var text = ""
        lines.add(Bytes(chunk[..<count])) { text += shown($0) + "\n" }
        guard text.isEmpty || Descriptor.write(Bytes(text), to: StandardStreams.output) else {
          return
        }
      }
      guard goesOn else { break }
      Program.sleep(milliseconds: Self.pollMilliseconds)
    }
    if file >= 0 { Descriptor.close(file) }
  }

  private func shown(_ line: Bytes) -> String {
    guard !isJSON, let json = try? JSONValue.parse(line) else { return line.string }
    return ClusterEvent.human(json)
  }
}
