#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// This process.
public enum Program {
  /// Its number.
  public static var id: Int32 { getpid() }

  /// The number of the process that started it.
  public static var parent: Int32 { getppid() }

  /// Ends the process with a status.
  public static func exit(_ status: Int32) -> Never {
    #if canImport(Glibc)
      Glibc.exit(status)
    #else
      Darwin.exit(status)
    #endif
  }

  /// Ends the process with a status; nothing that waits for the end is done.
  public static func exitAtOnce(_ status: Int32) -> Never { _exit(status) }

  /// Ends the process as the signal would have, so that who started it sees the cause; process 1,
  /// which a signal cannot end, ends with status 0.
  public static func end(by number: Int32) -> Never {
    if id == 1 { exit(0) }
    signal(number, SIG_DFL)
    // This is a thread of the runtime's pool, which block signals: one raised here would only wait.
    var one = sigset_t()
    sigemptyset(&one)
    sigaddset(&one, number)
    pthread_sigmask(SIG_UNBLOCK, &one, nil)
    raise(number)
    exit(128 + number)
  }

  /// Blocks this thread.
  public static func sleep(milliseconds: UInt32) { usleep(milliseconds * 1_000) }

  /// Lets the calling thread sleep, for whole seconds.
  public static func sleep(_ time: Duration) {
    for _ in 0..<Swift.max(time.components.seconds, 0) { sleep(milliseconds: 1_000) }
  }

  /// Hands on what `print` keeps.
  public static func flushOutput() { fflush(nil) }

  /// Becomes another program, with the first word its path.
  /// - Returns: only when that is impossible; `SystemError.last` says why.
  public static func become(_ words: [String]) {
    guard let path = words.first else { return }
    withWords(words) { _ = execv(path, $0) }
  }

  /// Starts a program in a session of its own, which outlives this process and its terminal. It reads
  /// nothing, appends to a log what it prints, and may have a descriptor of ours under a number it knows.
  /// - Throws: the system's reason.
  public static func startDetached(
    _ words: [String], log: String = "/dev/null", handingOver descriptor: Int32? = nil,
    as number: Int32 = 3
  ) throws(SystemError) {
    guard let path = words.first else { return }
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
    if let descriptor, descriptor == number {
      // Already in place: dup2 onto itself would leave close-on-exec set.
      Descriptor.setInherited(descriptor, true)
    } else if let descriptor {
      posix_spawn_file_actions_adddup2(&actions, descriptor, number)
    }
    posix_spawnattr_setflags(&attributes, newSession)
    var pid: pid_t = 0
    let result = withWords(words) { posix_spawn(&pid, path, &actions, &attributes, $0, environ) }
    guard result == 0 else { throw SystemError(result) }
  }

  /// Runs a program on our own standard streams, with signals as they are for a fresh program, and waits.
  /// - Parameters:
  ///   - words: found through PATH when the first has no slash.
  ///   - environment: the whole of it, `NAME=value`.
  ///   - onStart: gets its number.
  /// - Returns: its exit status, or 128 and the signal that ended it.
  /// - Throws: the system's reason why it did not start.
  public static func run(
    _ words: [String], environment: [String], onStart: (Int32) -> Void
  ) throws(SystemError) -> Int32 {
    guard let path = words.first else { throw .notFound }
    #if canImport(Glibc)
      var attributes = posix_spawnattr_t()
      let defaults: Int16 = 0x04
    #else
      var attributes: posix_spawnattr_t?
      // checked: one bit of the low ones
      let defaults = Int16(POSIX_SPAWN_SETSIGDEF)
    #endif
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    var signals = sigset_t()
    sigemptyset(&signals)
    for number in [SIGINT, SIGTERM, SIGHUP, SIGPIPE, SIGQUIT] { sigaddset(&signals, number) }
    posix_spawnattr_setsigdefault(&attributes, &signals)
    posix_spawnattr_setflags(&attributes, defaults)
    var pid: pid_t = 0
    let result = withWords(words) { words in
      withWords(environment) { posix_spawnp(&pid, path, nil, &attributes, words, $0) }
    }
    guard result == 0 else { throw SystemError(result) }
    onStart(pid)
    return try wait(for: pid)
  }

  /// Starts a program, found through PATH when the first word has no slash, that reads one descriptor of ours and writes
  /// to another; its errors are ours.
  /// - Returns: its number, for `wait`.
  /// - Throws: the system's reason why it did not start.
  public static func start(
    _ words: [String], reading input: Int32, writing output: Int32
  ) throws(SystemError) -> Int32 {
    guard let path = words.first else { throw .notFound }
    #if canImport(Glibc)
      var actions = posix_spawn_file_actions_t()
    #else
      var actions: posix_spawn_file_actions_t?
    #endif
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_adddup2(&actions, input, 0)
    posix_spawn_file_actions_adddup2(&actions, output, 1)
    var pid: pid_t = 0
    let result = withWords(words) { posix_spawnp(&pid, path, &actions, nil, $0, environ) }
    guard result == 0 else { throw SystemError(result) }
    return pid
  }

  /// Waits for the end of a program that was started.
  /// - Returns: its exit status, or 128 and the signal that ended it.
  public static func wait(for pid: Int32) throws(SystemError) -> Int32 {
    var status: Int32 = 0
    while waitpid(pid, &status, 0) < 0 { guard errno == EINTR else { throw .last } }
    let signal = status & 0x7f
    // checked: seven bits, and eight
    return signal == 0 ? (status >> 8) & 0xff : 128 + signal
  }

  /// Becomes another program with an environment of its own, found through PATH when it has no slash.
  /// - Returns: only when that is impossible; `SystemError.last` says why.
  public static func become(_ words: [String], adding environment: [String: String]) {
    guard let path = words.first else { return }
    for (name, value) in environment { setenv(name, value, 1) }
    withWords(words) { _ = execvp(path, $0) }
  }

  /// The number of the user that this process acts for.
  public static var userID: UInt32 { geteuid() }

  /// Words as C has them, valid inside `body`.
  private static func withWords<R>(
    _ words: [String], _ body: ([UnsafeMutablePointer<CChar>?]) -> R
  ) -> R {
    let pointers = words.map { strdup($0) }
    defer { for pointer in pointers { free(pointer) } }
    return body(pointers + [nil])
  }
}
