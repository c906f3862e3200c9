import Platform

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// What the process gets from the system. Unsafe: C strings and signals.
enum Process {
  /// The command line, the program's name included.
  ///
  /// Swift on Linux finds it by walking back from the environment, and finds nothing when a preloaded
  /// library has set a variable before `main`: a server must not start with its flags forgotten.
  static let arguments: [String] = {
    let found = Swift.CommandLine.arguments
    #if canImport(Glibc)
      guard found.isEmpty else { return found }
      let descriptor = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC)
      guard descriptor >= 0 else { return found }
      defer { close(descriptor) }
      var bytes: [UInt8] = []
      var buffer = [UInt8](repeating: 0, count: 4096)
      while true {
        let n = read(descriptor, &buffer, buffer.count)
        if n <= 0 { break }
        bytes += buffer[..<n]
      }
      return bytes.split(separator: 0, omittingEmptySubsequences: false).dropLast()
        .map { String(decoding: $0, as: UTF8.self) }
    #else
      return found
    #endif
  }()

  /// A number that differs between members: election timeouts are drawn with it.
  static func seed() -> UInt64 {
    var generator = SystemRandomNumberGenerator()
    return generator.next()
  }

  static func print(_ text: String) {
    StandardStreams.write(text, to: StandardStreams.output)
  }
  static func printError(_ text: String) {
    StandardStreams.write(text, to: StandardStreams.error)
  }

  /// Lets every signal through: a parent may have started us with some blocked.
  static func unblockSignals() {
    var none = sigset_t()
    sigemptyset(&none)
    pthread_sigmask(SIG_SETMASK, &none, nil)
  }

  /// What Go calls a signal.
  static func name(of number: Int32) -> String {
    switch number {
    case SIGINT: "interrupt"
    case SIGTERM: "terminated"
    default: "signal \(number)"
    }
  }

  /// Lets the process live on through signals that a Go program does not mind, among them those of
  /// timers, quotas and terminals that some supervisors send.
  /// - Source: Go's `runtime/sigtab_linux_generic.go`, entries without `_SigKill` and `_SigThrow`.
  static func ignoreSignals() {
    var numbers = [SIGUSR1, SIGUSR2, SIGALRM, SIGVTALRM, SIGPROF, SIGIO, SIGXCPU, SIGXFSZ]
    #if canImport(Glibc)
      numbers.append(SIGPWR)
      // Those for applications; the C library keeps the ones before for itself.
      numbers += Array(__libc_current_sigrtmin()...__libc_current_sigrtmax())
    #endif
    for number in numbers { signal(number, SIG_IGN) }
  }

  /// Keeps all memory of the process in RAM, each page from its first use on.
  /// - Returns: why the system does not allow it; `nil` when it does.
  static func lockMemory() -> String? {
    #if canImport(Glibc)
      let flags =
        MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT
      guard mlockall(flags) != 0 else { return nil }
      return "mlock error: \(String(cString: strerror(errno)).lowercased())"
    #else
      return "mlock error: not supported on this system"
    #endif
  }

  /// Ends the process as the signal would have, so that who started it sees the cause; process 1,
  /// which a signal cannot end, ends with status 0.
  static func end(by number: Int32) -> Never {
    if getpid() == 1 { exit(0) }
    signal(number, SIG_DFL)
    // This is a thread of the runtime's pool, which block signals: one raised here would only wait.
    var one = sigset_t()
    sigemptyset(&one)
    sigaddset(&one, number)
    pthread_sigmask(SIG_UNBLOCK, &one, nil)
    raise(number)
    exit(128 + number)
  }
}
