import Bytes
import CommandLineTool
import EtcdCtlKit
import EtcdUtlKit
import FileSystem
import Runtime

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// The `etcdctl` executable.
@main
struct Main {
  static func main() {
    signal(SIGPIPE, SIG_IGN)
    let files = EtcdUtl.World(
      fileSystem: RealFileSystem(), now: { Int64(time(nil)) }, pause: { usleep(100_000) },
      random: {
        var generator = SystemRandomNumberGenerator()
        return generator.next()
      },
      resolve: { HostLookup.numeric($0) })
    let world = EtcdCtl.World(
      files: files, environment: environment(), write: { System.write($0, to: STDOUT_FILENO) },
      read: { System.read($0) },
      askPassword: { System.askPassword($0) },
      preciseNow: { Double(WallClock.nanoseconds / 1000) / 1_000_000 })
    let console = Console(
      print: { System.write(Bytes($0), to: STDOUT_FILENO) },
      printError: { System.write(Bytes($0), to: STDERR_FILENO) })
    exit(EtcdCtl.run(System.arguments(), world, console: console))
  }

  private static func environment() -> [String: String] {
    var variables: [String: String] = [:]
    for entry in System.environment() {
      guard let equals = entry.firstIndex(of: "=") else { continue }
      variables[String(entry[..<equals])] = String(entry[entry.index(after: equals)...])
    }
    return variables
  }
}
