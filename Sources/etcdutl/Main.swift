import CommandLineTool
import EtcdUtlKit
import FileSystem

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// The `etcdutl` executable.
@main
struct Main {
  static func main() {
    let world = EtcdUtl.World(
      fileSystem: RealFileSystem(), now: { Int64(time(nil)) }, pause: { usleep(100_000) },
      random: {
        var generator = SystemRandomNumberGenerator()
        return generator.next()
      },
      resolve: { NameLookup.numeric(hostPort: $0) })
    let console = Console(
      print: { write($0, to: STDOUT_FILENO) }, printError: { write($0, to: STDERR_FILENO) })
    let code = EtcdUtl.tool(world).run(
      Array(Swift.CommandLine.arguments.dropFirst()), console: console)
    exit(code)
  }

  /// Unsafe: the system call takes a pointer. What cannot be written has nowhere to be told.
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
}
