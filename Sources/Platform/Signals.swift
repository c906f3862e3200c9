#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// Signals by what they say, and what the process does about them.
public enum Signals {
  /// Somebody at the terminal wants an end.
  public static let interrupt = SIGINT
  /// An end is asked for.
  public static let terminate = SIGTERM
  /// The terminal is gone.
  public static let hangUp = SIGHUP
  /// The end at once; no process can refuse it.
  public static let kill = SIGKILL
  /// A stop until `goOn`; no process can refuse it.
  public static let stop = SIGSTOP
  /// The end of a stop.
  public static let goOn = SIGCONT
  /// A write to somebody who went away.
  public static let brokenPipe = SIGPIPE

  /// Signals that a Go program does not mind, among them those of timers, quotas and terminals that some
  /// supervisors send.
  /// - Source: Go's `runtime/sigtab_linux_generic.go`, entries without `_SigKill` and `_SigThrow`.
  public static var harmless: [Int32] {
    var numbers = [SIGUSR1, SIGUSR2, SIGALRM, SIGVTALRM, SIGPROF, SIGIO, SIGXCPU, SIGXFSZ]
    #if canImport(Glibc)
      numbers.append(SIGPWR)
      // Those for applications; the C library keeps the ones before for itself.
      numbers += Array(__libc_current_sigrtmin()...__libc_current_sigrtmax())
    #endif
    return numbers
  }

  /// Lets the process live on through signals.
  public static func ignore(_ numbers: [Int32]) {
    for number in numbers { signal(number, SIG_IGN) }
  }

  /// Lets every signal through: whoever started us may have had some blocked, and the end of a child is
  /// a signal too.
  public static func unblockAll() {
    var none = sigset_t()
    sigemptyset(&none)
    pthread_sigmask(SIG_SETMASK, &none, nil)
  }

  /// Sends a signal to a process, or to a group of them by its negative number.
  /// - Returns: whether there was one.
  @discardableResult
  public static func send(_ number: Int32, to process: Int32) -> Bool {
    #if canImport(Glibc)
      Glibc.kill(process, number) == 0
    #else
      Darwin.kill(process, number) == 0
    #endif
  }

  /// Whether a process lives that this one may send signals to.
  public static func reaches(_ process: Int32) -> Bool { send(0, to: process) }
}
