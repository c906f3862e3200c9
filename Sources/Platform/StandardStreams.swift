import Bytes

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// Standard input, output and error of the process. Unsafe: buffers of system calls; none escapes.
public enum StandardStreams {
  /// Descriptors of the standard streams.
  public static let output = STDOUT_FILENO
  public static let error = STDERR_FILENO

  /// Writes all of it, however long that takes. What cannot be written has nowhere to be told.
  public static func write(_ bytes: Bytes, to descriptor: Int32) {
    bytes.withUnsafeBytes { memory in
      var done = 0
      while done < memory.count {
        #if canImport(Glibc)
          let n = Glibc.write(descriptor, memory.baseAddress! + done, memory.count - done)
        #else
          let n = Darwin.write(descriptor, memory.baseAddress! + done, memory.count - done)
        #endif
        if n < 0, errno == EINTR { continue }
        if n <= 0 { return }
        done += n
      }
    }
  }

  /// Writes a text.
  public static func write(_ text: String, to descriptor: Int32) {
    write(Bytes(text), to: descriptor)
  }

  /// The next piece of standard input with so many bytes at most; empty at its end.
  public static func read(_ count: Int) -> Bytes {
    var buffer = [UInt8](repeating: 0, count: count)
    while true {
      #if canImport(Glibc)
        let n = Glibc.read(STDIN_FILENO, &buffer, buffer.count)
      #else
        let n = Darwin.read(STDIN_FILENO, &buffer, buffer.count)
      #endif
      if n < 0, errno == EINTR { continue }
      return n <= 0 ? Bytes() : Bytes(buffer[..<n])
    }
  }

  /// Asks for a line of standard input, with the echo off when that is a terminal.
  public static func askPassword(_ prompt: String) -> String {
    var settings = termios()
    let isTerminal = tcgetattr(STDIN_FILENO, &settings) == 0
    if isTerminal {
      var quiet = settings
      quiet.c_lflag &= ~tcflag_t(ECHO)
      // Before the prompt: who answers a program types as soon as the question is there.
      tcsetattr(STDIN_FILENO, TCSANOW, &quiet)
    }
    write(prompt, to: output)
    defer {
      if isTerminal { tcsetattr(STDIN_FILENO, TCSANOW, &settings) }
      write("\n", to: output)
    }
    // Byte by byte: what stands behind the line answers the next question.
    var line: [UInt8] = []
    while let byte = read(1).first, byte != UInt8(ascii: "\n") { line.append(byte) }
    if line.last == UInt8(ascii: "\r") { line.removeLast() }
    return Bytes(line).string
  }
}
