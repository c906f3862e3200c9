import Bytes
import CUV
import FileSystem
import Platform

/// The few system calls that this module needs, with errors as text.
enum System {
  private static let files = RealFileSystem()

  /// What `errno` says.
  static var lastError: String { SystemError.last.description }

  /// This executable's own path.
  static func executable() throws(DevClusterError) -> String {
    var buffer = [CChar](repeating: 0, count: 4096)
    var size = buffer.count
    guard uv_exepath(&buffer, &size) == 0 else {
      throw DevClusterError("cannot find the path of this executable")
    }
    return String(decoding: buffer.prefix(size).map(UInt8.init(bitPattern:)), as: UTF8.self)
  }

  /// `path` made absolute and free of `.` and `..`, without looking at links.
  static func absolute(_ path: String) throws(DevClusterError) -> String {
    var full = path
    if !path.hasPrefix("/") {
      guard let working = Paths.working else {
        throw DevClusterError("cannot read the working directory: \(lastError)")
      }
      full = working + "/" + path
    }
    var parts: [Substring] = []
    for part in full.split(separator: "/") where part != "." {
      if part == ".." { _ = parts.popLast() } else { parts.append(part) }
    }
    return "/" + parts.joined(separator: "/")
  }

  /// Makes a directory and its parents.
  static func makeDirectory(_ path: String) throws(DevClusterError) {
    do throws(FileError) { try files.makeDirectory(path, permissions: 0o700) } catch {
      throw DevClusterError("cannot make the directory \(error.path): \(error.detail)")
    }
  }

  /// The whole of a small file; `nil` when there is none.
  static func read(_ path: String) -> Bytes? { try? files.readFile(path, limit: 1 << 20) }

  /// Writes a file so that a reader sees the old content or the new.
  static func replace(_ path: String, _ content: String) throws(DevClusterError) {
    let temporary = path + ".new"
    do throws(FileError) {
      let file = try files.open(temporary, .create(permissions: 0o600))
      defer { file.close() }
      try file.truncate(to: 0)
      try write(Bytes(content), to: file)
      try files.rename(temporary, to: path)
    } catch { throw DevClusterError("cannot write \(error.path): \(error.detail)") }
  }

  /// Writes the beginning of a file.
  static func write(_ bytes: Bytes, to file: any StorageFile) throws(FileError) {
    try bytes.withUnsafeBytes { (memory) throws(FileError) in try file.write(memory, at: 0) }
  }

  /// Removes a file, or a directory with everything in it; of a link, the link.
  static func removeTree(_ path: String) throws(FileError) {
    do throws(FileError) { try files.remove(path) } catch {
      guard error.errno == SystemError.notEmpty.number else { throw error }
      for name in try files.list(path) { try removeTree(path + "/" + name) }
      try files.remove(path)
    }
  }

  static func print(_ text: String) {
    StandardStreams.write(text + "\n", to: StandardStreams.output)
  }
  static func complain(_ text: String) {
    StandardStreams.write("devcluster: \(text)\n", to: StandardStreams.error)
  }

  /// Whether a process is stopped; `nil` where the system does not tell.
  static func isStopped(_ pid: Int32) -> Bool? {
    guard let text = SystemFiles.text(of: "/proc/\(pid)/stat"),
      let end = text.lastIndex(of: ")")
    else { return nil }
    return text[text.index(after: end)...].drop { $0 == " " }.hasPrefix("T")
  }

  /// Full path of a program: found through PATH when it has no slash.
  static func program(_ name: String) throws(DevClusterError) -> String {
    if name.contains("/") {
      let path = try absolute(name)
      guard Paths.isProgram(path) else {
        throw DevClusterError("there is no program at \(path)")
      }
      return path
    }
    let search = ProcessEnvironment.variables["PATH"] ?? "/usr/bin:/bin"
    for directory in search.split(separator: ":") {
      let path = "\(directory)/\(name)"
      if Paths.isProgram(path) { return try absolute(path) }
    }
    throw DevClusterError("there is no program '\(name)' in PATH")
  }
}
