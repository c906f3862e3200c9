import Bytes
import EventLoops
import Platform

/// Shows the members' log files; they can be read whether or not the cluster runs.
final class LogReader {
  private struct File {
    let path: String
    let prefix: [UInt8]
    var descriptor: Int32 = -1
    var inode: UInt64 = 0
    var lines = LineSplitter()
  }

  private static let pollMilliseconds: UInt32 = 200
  private var files: [File]

  /// - Parameter members: one member is shown without its name.
  init(_ members: [MemberPlan], isColoured: Bool) {
    let prefix = LinePrefix(names: members.map(\.name), isColoured: isColoured)
    files = members.enumerated().map { index, member in
      let shown = members.count == 1 ? "" : prefix.text(member.name, index: index)
      return File(path: member.logFile, prefix: Array(shown.utf8))
    }
  }

  /// Writes what there is, and goes on with what comes when `follow` is set.
  /// - Returns: when everything is written, or standard output is gone.
  func run(follow: Bool) {
    while true {
      for index in files.indices where !copy(index, isLast: !follow) { return }
      guard follow else { return }
      Program.sleep(milliseconds: Self.pollMilliseconds)
    }
  }

  /// - Returns: whether standard output still takes lines.
  private func copy(_ index: Int, isLast: Bool) -> Bool {
    reopenWhenReplaced(index)
    guard files[index].descriptor >= 0 else { return true }
    var chunk = [UInt8](repeating: 0, count: 65_536)
    var isOpen = true
    let prefix = files[index].prefix
    let write: (Bytes) -> Void = { line in
      if isOpen {
        isOpen = Descriptor.write(
          Bytes(prefix + Array(line) + [0x0a]), to: StandardStreams.output)
      }
    }
    while isOpen {
      let count = Descriptor.read(files[index].descriptor, into: &chunk)
      guard count > 0 else { break }
      files[index].lines.add(Bytes(chunk[..<count]), write)
    }
    if isLast { files[index].lines.finish(write) }
    return isOpen
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
