#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// What the process was started with. Unsafe: C strings; none escapes.
public enum ProcessEnvironment {
  /// All variables as `name=value`, in the order of the system.
  public static var entries: [String] {
    var entries: [String] = []
    var next = environ
    while let entry = next.pointee {
      entries.append(String(cString: entry))
      next += 1
    }
    return entries
  }

  /// All variables by name; of two with one name the later.
  public static var variables: [String: String] {
    var found: [String: String] = [:]
    for entry in entries {
      guard let equals = entry.firstIndex(of: "=") else { continue }
      found[String(entry[..<equals])] = String(entry[entry.index(after: equals)...])
    }
    return found
  }

  /// Words of the command line without the program's name, as bytes: they need not be UTF-8.
  public static var arguments: [[UInt8]] { Array(line.dropFirst()) }

  /// The command line as text, the program's name included.
  public static let words: [String] = line.map { String(decoding: $0, as: UTF8.self) }

  /// The command line, the program's name included.
  ///
  /// Swift on Linux finds it by walking back from the environment. It finds nothing when a preloaded library has
  /// set a variable before `main`, nor without /proc, as in a bare chroot: no program may start with its flags
  /// forgotten.
  private static let line: [[UInt8]] = {
    let found = (0..<max(0, Int(CommandLine.argc))).compactMap { position -> [UInt8]? in
      guard let word = CommandLine.unsafeArgv[position] else { return nil }
      return word.withMemoryRebound(to: UInt8.self, capacity: strlen(word)) {
        Array(UnsafeBufferPointer(start: $0, count: strlen(word)))
      }
    }
    guard found.isEmpty else { return found }
    guard let line = SystemFiles.bytes(of: "/proc/self/cmdline"), !line.isEmpty else {
      StandardStreams.write(
        "the command line cannot be read: /proc is not mounted\n", to: StandardStreams.error)
      Program.exit(1)
    }
    return line.split(separator: 0, omittingEmptySubsequences: false).dropLast().map { Array($0) }
  }()
}
