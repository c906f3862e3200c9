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

  /// Has those of them that are closed lead to nowhere: else the next file that is opened takes their place.
  public static func occupy() {
    while true {
      let descriptor = open("/dev/null", O_RDWR)
      guard descriptor >= 0 else { return }
      if descriptor > STDERR_FILENO { return Descriptor.close(descriptor) }
    }
  }

  /// Writes bytes. What cannot be written has nowhere to be told.
  public static func write(_ bytes: Bytes, to descriptor: Int32) {
    Descriptor.write(bytes, to: descriptor)
  }

  /// Writes a text. What cannot be written has nowhere to be told.
  public static func write(_ text: String, to descriptor: Int32) {
    Descriptor.write(Bytes(text), to: descriptor)
  }

  /// The next piece of standard input with so many bytes at most; empty at its end.
  public static func read(_ count: Int) -> Bytes {
    var buffer = [UInt8](repeating: 0, count: count)
    let n = Descriptor.read(STDIN_FILENO, into: &buffer)
    return n <= 0 ? Bytes() : Bytes(buffer[..<n])
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
