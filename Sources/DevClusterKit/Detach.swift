#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// Starts a supervisor that outlives this process and its terminal.
enum Detach {
  /// Number of the descriptor the new process reports on.
  private static let reportDescriptor: Int32 = 3

  /// Starts it in a session of its own, and waits for its report.
  /// - Parameter words: the command line behind the program's name.
  /// - Returns: the table to print.
  /// - Throws: `DevClusterError` with the reason when the cluster could not be started.
  static func run(_ words: [String], _ directory: RunDirectory) throws(DevClusterError) -> String {
    try System.makeDirectory(directory.path)
    var ends: [Int32] = [0, 0]
    guard pipe(&ends) == 0 else { throw DevClusterError("pipe: \(System.lastError)") }
    for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
    let started = spawn(
      [try System.executable()] + arguments(words), log: directory.supervisorLog, report: ends[1])
    close(ends[1])
    defer { close(ends[0]) }
    guard started == 0 else {
      throw DevClusterError("cannot start the supervisor: \(String(cString: strerror(started)))")
    }
    var report: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 4096)
    while true {
      let count = System.readBytes(ends[0], &chunk)
      guard count > 0 else { break }
      report += chunk[..<count]
    }
    var text = String(decoding: report.dropFirst(), as: UTF8.self)
    while text.hasSuffix("\n") { text.removeLast() }
    if report.first == UInt8(ascii: "+") { return text }
    throw DevClusterError(
      text.isEmpty ? "the supervisor ended early; see \(directory.supervisorLog)" : text)
  }

  /// Closes what the new process inherited besides its report: nothing of whoever called us may be
  /// held open for as long as the cluster lives. To be called before anything is opened.
  static func closeInherited() {
    let limit = min(sysconf(Int32(_SC_OPEN_MAX)), 65_536)
    for descriptor in reportDescriptor + 1..<Int32(max(limit, 256)) { close(descriptor) }
  }

  /// The same command line with a place to report to; what stands behind `--` stays there.
  private static func arguments(_ words: [String]) -> [String] {
    let end = words.firstIndex(of: "--") ?? words.endIndex
    return words[..<end] + ["--report-fd", String(reportDescriptor)] + words[end...]
  }

  /// - Returns: 0 or an errno.
  private static func spawn(_ arguments: [String], log: String, report: Int32) -> Int32 {
    #if canImport(Glibc)
      var actions = posix_spawn_file_actions_t()
      var attributes = posix_spawnattr_t()
      let newSession: Int16 = 0x80
    #else
      var actions: posix_spawn_file_actions_t?
      var attributes: posix_spawnattr_t?
      let newSession = Int16(POSIX_SPAWN_SETSID)
    #endif
    posix_spawn_file_actions_init(&actions)
    posix_spawnattr_init(&attributes)
    defer {
      posix_spawn_file_actions_destroy(&actions)
      posix_spawnattr_destroy(&attributes)
    }
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
    posix_spawn_file_actions_addopen(&actions, 1, log, O_WRONLY | O_CREAT | O_APPEND, 0o600)
    posix_spawn_file_actions_adddup2(&actions, 1, 2)
    if report == reportDescriptor {
      // Already in place: dup2 onto itself would leave close-on-exec set.
      _ = fcntl(report, F_SETFD, 0)
    } else {
      posix_spawn_file_actions_adddup2(&actions, report, reportDescriptor)
    }
    posix_spawnattr_setflags(&attributes, newSession)
    var pointers = arguments.map { strdup($0) }
    pointers.append(nil)
    defer { for pointer in pointers { free(pointer) } }
    var pid: pid_t = 0
    return posix_spawn(&pid, arguments[0], &actions, &attributes, pointers, environ)
  }
}
