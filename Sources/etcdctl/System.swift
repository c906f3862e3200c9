import Bytes
import CommandLineTool
import EtcdCtlKit

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// What the process has from its operating system. Unsafe: C strings and buffers; none escapes.
enum System {
  /// Words of the command line without the program's name.
  static func arguments() -> [String] {
    (1..<Swift.max(1, Int(CommandLine.argc))).compactMap { position in
      guard let word = CommandLine.unsafeArgv[position] else { return nil }
      return word.withMemoryRebound(to: UInt8.self, capacity: strlen(word)) {
        EtcdCtl.argument(UnsafeBufferPointer(start: $0, count: strlen(word)))
      }
    }
  }

  static func environment() -> [String] {
    var entries: [String] = []
    var next = environ
    while let entry = next.pointee {
      entries.append(String(cString: entry))
      next += 1
    }
    return entries
  }

  /// What cannot be written has nowhere to be told.
  static func write(_ bytes: Bytes, to descriptor: Int32) {
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

  /// The next piece of standard input with so many bytes at most; empty at its end.
  static func read(_ count: Int) -> Bytes {
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
  static func askPassword(_ prompt: String) -> String {
    var settings = termios()
    let isTerminal = tcgetattr(STDIN_FILENO, &settings) == 0
    if isTerminal {
      var quiet = settings
      quiet.c_lflag &= ~tcflag_t(ECHO)
      // Before the prompt: who answers a program types as soon as the question is there.
      tcsetattr(STDIN_FILENO, TCSANOW, &quiet)
    }
    write(Bytes(prompt), to: STDOUT_FILENO)
    defer {
      if isTerminal { tcsetattr(STDIN_FILENO, TCSANOW, &settings) }
      write("\n", to: STDOUT_FILENO)
    }
    // Byte by byte: what stands behind the line answers the next question.
    var line: [UInt8] = []
    while let byte = read(1).first, byte != UInt8(ascii: "\n") { line.append(byte) }
    if line.last == UInt8(ascii: "\r") { line.removeLast() }
    return Bytes(line).string
  }
}
