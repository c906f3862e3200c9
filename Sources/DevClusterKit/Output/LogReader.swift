import Bytes
import EventLoops
import Platform

/// Shows the members' log files, in one order by time; they can be read whether or not the cluster runs.
final class LogReader {
  private struct File {
    let path: String
    let prefix: String
    var descriptor: Int32 = -1
    var inode: UInt64 = 0
    var lines = LineSplitter()
    /// Time of the line before: one without a time of its own belongs to it.
    var lastTime: Int64 = 0
  }

  /// A line with its place in the order.
  private struct Entry {
    let time: Int64
    let file: Int
    let line: LogLine
  }

  private static let pollMilliseconds: UInt32 = 100
  /// Lines that are put into order at once.
  private static let entriesMax = 200_000
  private let options: LogOptions
  private var files: [File]
  private var pending: [Entry] = []

  /// - Parameter members: one member is shown without its name.
  init(_ members: [MemberPlan], _ options: LogOptions, isColoured: Bool) {
    self.options = options
    let prefix = LinePrefix(names: members.map(\.name), isColoured: isColoured)
    files = members.map { member in
      File(
        path: member.logFile,
        prefix: members.count == 1 ? "" : prefix.text(member.name, index: member.index - 1))
    }
  }

  /// Writes what there is, and goes on with what comes.
  /// - Parameter isRunning: whether more may come; asked while the files are followed.
  func run(isRunning: () -> Bool) {
    for index in files.indices { read(index, isLast: !options.follow) }
    if let count = options.count, pending.count > count {
      pending = Array(sorted().suffix(count))
    }
    guard writePending() else { return }
    while options.follow {
      let goesOn = isRunning()
      for index in files.indices { read(index, isLast: false) }
      guard writePending(), goesOn else { return }
      Program.sleep(milliseconds: Self.pollMilliseconds)
    }
  }

  private func sorted() -> [Entry] {
    pending.enumerated().sorted {
      ($0.element.time, $0.offset) < ($1.element.time, $1.offset)
    }.map(\.element)
  }

  /// - Returns: whether standard output still takes lines.
  private func writePending() -> Bool {
    var text: [UInt8] = []
    for entry in sorted() {
      let line = options.isJSON ? entry.line.raw : entry.line.human
      text +=
        Array((options.isJSON ? "" : files[entry.file].prefix).utf8) + Array(line.utf8) + [0x0a]
    }
    pending = []
    return text.isEmpty || Descriptor.write(Bytes(text), to: StandardStreams.output)
  }

  private func read(_ index: Int, isLast: Bool) {
    reopenWhenReplaced(index)
    guard files[index].descriptor >= 0 else { return }
    var chunk = [UInt8](repeating: 0, count: 65_536)
    var found: [Bytes] = []
    while pending.count + found.count < Self.entriesMax {
      let count = Descriptor.read(files[index].descriptor, into: &chunk)
      guard count > 0 else { break }
      files[index].lines.add(Bytes(chunk[..<count])) { found.append($0) }
    }
    if isLast { files[index].lines.finish { found.append($0) } }
    for line in found { add(LogLine(line.string), of: index) }
  }

  private func add(_ line: LogLine, of index: Int) {
    if let time = line.time { files[index].lastTime = time }
    if let level = options.level, (line.level ?? .info) < level { return }
    if let since = options.since, files[index].lastTime < since { return }
    if let word = options.grep, !line.raw.contains(word) { return }
    pending.append(Entry(time: files[index].lastTime, file: index, line: line))
  }

  /// A log that was begun anew has another inode.
  private func reopenWhenReplaced(_ index: Int) {
    guard let inode = Paths.inode(files[index].path) else { return }
    guard files[index].descriptor < 0 || inode != files[index].inode else { return }
    if files[index].descriptor >= 0 { Descriptor.close(files[index].descriptor) }
    files[index].descriptor = Descriptor.openToRead(files[index].path)
    files[index].inode = inode
  }
}
