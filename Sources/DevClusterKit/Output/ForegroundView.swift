import EventLoops
import Platform

/// The terminal in the foreground: lines of members scroll, the status stays below them. Confined to its loop.
final class ForegroundView {
  /// Between two frames, and between two looks at the status.
  private static let frameInterval: Duration = .milliseconds(50)
  private static let lookInterval: Duration = .milliseconds(500)
  /// Lines that scroll above the table at least; a terminal with less room has the first line of it alone.
  private static let rowsMin = 5
  /// Lines of one frame; what comes faster is counted.
  private static let linesMax = 500

  private let loop: EventLoop
  private let write: ([UInt8]) -> Bool
  /// The status, drawn for so many columns.
  private let table: (Int) -> [String]
  private var sticky = StickyTable()
  private var shown: [String] = []
  private var lines: [[UInt8]] = []
  private var leftOut = 0
  private var timer: LoopTimer?
  private var look: LoopTimer?

  /// Whether there is a terminal that can do it.
  /// - Source: terminfo(5): `dumb` knows no movement of the cursor.
  static var isWanted: Bool {
    Terminal.rows > 0 && ProcessEnvironment.variables["TERM"].map { $0 != "dumb" } ?? false
  }

  /// - Parameter write: takes a frame; `false` when it was left out.
  init(
    loop: EventLoop, write: @escaping ([UInt8]) -> Bool, table: @escaping (Int) -> [String]
  ) {
    self.loop = loop
    self.write = write
    self.table = table
    look = loop.schedule(after: .zero, repeating: Self.lookInterval) { [weak self] in self?.draw() }
  }

  func show(_ line: [UInt8]) {
    if lines.count < Self.linesMax { lines.append(line) } else { leftOut += 1 }
    guard timer == nil else { return }
    timer = loop.schedule(after: Self.frameInterval) { [weak self] in
      self?.timer = nil
      self?.draw()
    }
  }

  private func draw() {
    let columns = Terminal.columns
    var table = table(columns)
    if table.count + Self.rowsMin > Terminal.rows { table = Array(table.prefix(1)) }
    guard !lines.isEmpty || table != shown else { return }
    send(table, columns)
  }

  private func send(_ table: [String], _ columns: Int) {
    if leftOut > 0 {
      lines.append(
        Array("devcluster: \(leftOut) lines were left out here: they came too fast".utf8))
    }
    var next = sticky
    let frame = next.frame(lines, table: table, columns: columns)
    lines = []
    leftOut = 0
    // What was left out is not on the screen: the next frame goes on from what is.
    guard write(frame) else { return }
    sticky = next
    shown = table
  }

  /// Leaves the screen to those who write after it.
  func close() {
    timer?.cancel()
    look?.cancel()
    (timer, look) = (nil, nil)
    send([], Terminal.columns)
  }
}
