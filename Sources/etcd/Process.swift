#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// What the process gets from the system. Unsafe: C strings and signals.
enum Process {
  /// All environment variables.
  static var environment: [String: String] {
    var found: [String: String] = [:]
    var cursor = environ
    while let entry = cursor.pointee {
      let text = String(cString: entry)
      if let equals = text.firstIndex(of: "=") {
        found[String(text[..<equals])] = String(text[text.index(after: equals)...])
      }
      cursor += 1
    }
    return found
  }

  /// A number that differs between members: election timeouts are drawn with it.
  static func seed() -> UInt64 {
    var generator = SystemRandomNumberGenerator()
    return generator.next()
  }

  static func print(_ text: String) { write(text, to: STDOUT_FILENO) }
  static func printError(_ text: String) { write(text, to: STDERR_FILENO) }

  private static func write(_ text: String, to descriptor: Int32) {
    var text = text
    text.withUTF8 { bytes in
      var done = 0
      while done < bytes.count {
        #if canImport(Glibc)
          let n = Glibc.write(descriptor, bytes.baseAddress! + done, bytes.count - done)
        #else
          let n = Darwin.write(descriptor, bytes.baseAddress! + done, bytes.count - done)
        #endif
        if n <= 0 { return }
        done += n
      }
    }
  }

  /// Lets every signal through: a parent may have started us with some blocked.
  static func unblockSignals() {
    var none = sigset_t()
    sigemptyset(&none)
    pthread_sigmask(SIG_SETMASK, &none, nil)
  }

  /// Ends the process as the signal would have, so that who started it sees the cause; process 1,
  /// which a signal cannot end, ends with status 0.
  static func end(by number: Int32) -> Never {
    if getpid() == 1 { exit(0) }
    signal(number, SIG_DFL)
    raise(number)
    exit(128 + number)
  }
}
