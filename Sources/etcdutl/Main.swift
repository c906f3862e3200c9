import CommandLineTool
import EtcdUtlKit
import FileSystem
import Platform

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
      print: { StandardStreams.write($0, to: StandardStreams.output) },
      printError: { StandardStreams.write($0, to: StandardStreams.error) })
    let code = EtcdUtl.tool(world).run(
      Array(Swift.CommandLine.arguments.dropFirst()), console: console)
    exit(code)
  }
}
