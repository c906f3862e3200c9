import CUV

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// The few system calls that this module needs, with errors as text.
enum System {
  /// What `errno` says.
  static var lastError: String { String(cString: strerror(errno)) }

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
      var buffer = [CChar](repeating: 0, count: 4096)
      guard getcwd(&buffer, buffer.count) != nil else {
        throw DevClusterError("cannot read the working directory: \(lastError)")
      }
      let bytes = buffer.prefix { $0 != 0 }.map(UInt8.init(bitPattern:))
      full = String(decoding: bytes, as: UTF8.self) + "/" + path
    }
    var parts: [Substring] = []
    for part in full.split(separator: "/") where part != "." {
      if part == ".." { _ = parts.popLast() } else { parts.append(part) }
    }
    return "/" + parts.joined(separator: "/")
  }

  static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

  static func isDirectory(_ path: String) -> Bool {
    var info = stat()
    return stat(path, &info) == 0 && info.st_mode & S_IFMT == S_IFDIR
  }

  /// Makes a directory and its parents.
  static func makeDirectory(_ path: String) throws(DevClusterError) {
    var made = ""
    for part in path.split(separator: "/") {
      made += "/" + part
      if mkdir(made, 0o700) != 0 && !isDirectory(made) {
        throw DevClusterError("cannot make the directory \(made): \(lastError)")
      }
    }
  }

  /// The whole of a small file; `nil` when there is none.
  static func read(_ path: String) -> [UInt8]? {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return nil }
    defer { close(descriptor) }
    var content: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 65_536)
    while content.count < 1 << 20 {
      let count = readBytes(descriptor, &buffer)
      guard count > 0 else { break }
      content += buffer[..<count]
    }
    return content
  }

  /// Writes a file so that a reader sees the old content or the new.
  static func replace(_ path: String, _ content: String) throws(DevClusterError) {
    let temporary = path + ".new"
    let descriptor = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else {
      throw DevClusterError("cannot write \(temporary): \(lastError)")
    }
    let written = writeAll(descriptor, Array(content.utf8))
    close(descriptor)
    guard written, rename(temporary, path) == 0 else {
      throw DevClusterError("cannot write \(path): \(lastError)")
    }
  }

  /// One read(2), again when a signal cut it short; 0 at the end, negative for an error.
  static func readBytes(_ descriptor: Int32, _ buffer: inout [UInt8]) -> Int {
    while true {
      let count = buffer.withUnsafeMutableBytes {
        #if canImport(Glibc)
          Glibc.read(descriptor, $0.baseAddress, $0.count)
        #else
          Darwin.read(descriptor, $0.baseAddress, $0.count)
        #endif
      }
      if count < 0 && errno == EINTR { continue }
      return count
    }
  }

  /// Writes everything; `false` when the other side is gone.
  @discardableResult
  static func writeAll(_ descriptor: Int32, _ bytes: [UInt8]) -> Bool {
    var done = 0
    while done < bytes.count {
      let count = bytes.withUnsafeBytes {
        #if canImport(Glibc)
          Glibc.write(descriptor, $0.baseAddress! + done, $0.count - done)
        #else
          Darwin.write(descriptor, $0.baseAddress! + done, $0.count - done)
        #endif
      }
      if count < 0 && errno == EINTR { continue }
      guard count > 0 else { return false }
      done += count
    }
    return true
  }

  static func print(_ text: String) { writeAll(1, Array((text + "\n").utf8)) }
  static func complain(_ text: String) { writeAll(2, Array(("devcluster: " + text + "\n").utf8)) }

  /// Whether something listens on, or otherwise holds, a port of 127.0.0.1.
  static func isPortTaken(_ port: Int) -> Bool {
    #if canImport(Glibc)
      let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    #else
      let descriptor = socket(AF_INET, SOCK_STREAM, 0)
    #endif
    guard descriptor >= 0 else { return false }
    defer { close(descriptor) }
    // As a server does: an old connection in TIME_WAIT is no obstacle.
    var one: Int32 = 1
    setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &one, socklen_t(MemoryLayout<Int32>.size))
    var address = sockaddr_in()
    guard uv_ip4_addr("127.0.0.1", Int32(port), &address) == 0 else { return true }
    return withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) != 0
      }
    }
  }

  /// Lets every signal through: whoever started us may have had them blocked, and the end of a child
  /// is a signal too.
  static func unblockSignals() {
    var none = sigset_t()
    sigemptyset(&none)
    pthread_sigmask(SIG_SETMASK, &none, nil)
  }

  /// Full path of a program: found through PATH when it has no slash.
  static func program(_ name: String) throws(DevClusterError) -> String {
    if name.contains("/") {
      let path = try absolute(name)
      guard access(path, X_OK) == 0, !isDirectory(path) else {
        throw DevClusterError("there is no program at \(path)")
      }
      return path
    }
    let search = getenv("PATH").map { String(cString: $0) } ?? "/usr/bin:/bin"
    for directory in search.split(separator: ":") {
      let path = "\(directory)/\(name)"
      if access(path, X_OK) == 0 && !isDirectory(path) { return try absolute(path) }
    }
    throw DevClusterError("there is no program '\(name)' in PATH")
  }

  /// Our environment as `NAME=value`.
  static func environment() -> [String] {
    var found: [String] = []
    var next: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>? = environ
    while let place = next, let entry = place.pointee {
      found.append(String(cString: entry))
      next = place.advanced(by: 1)
    }
    return found
  }
}
