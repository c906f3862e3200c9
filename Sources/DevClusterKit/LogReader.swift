import Bytes
import EventLoops

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// Shows the members' log files; they can be read whether or not the cluster runs.
final class LogReader {
  private struct File {
    let path: String
    let prefix: [UInt8]
    var descriptor: Int32 = -1
    var inode: UInt64 = 0
    var lines = LineSplitter()
  }

  private static let pollMicroseconds: UInt32 = 200_000
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
      usleep(Self.pollMicroseconds)
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
      if isOpen { isOpen = System.writeAll(1, prefix + Array(line) + [0x0a]) }
    }
    while isOpen {
      let count = System.readBytes(files[index].descriptor, &chunk)
      guard count > 0 else { break }
      files[index].lines.add(Bytes(chunk[..<count]), write)
    }
    if isLast { files[index].lines.finish(write) }
    return isOpen
  }

  /// A log that was begun anew has another inode.
  private func reopenWhenReplaced(_ index: Int) {
    var info = stat()
    guard stat(files[index].path, &info) == 0 else { return }
    guard files[index].descriptor < 0 || UInt64(info.st_ino) != files[index].inode else { return }
    if files[index].descriptor >= 0 { close(files[index].descriptor) }
    files[index].descriptor = open(files[index].path, O_RDONLY | O_CLOEXEC)
    files[index].inode = UInt64(info.st_ino)
  }
}
