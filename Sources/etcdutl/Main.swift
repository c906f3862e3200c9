import CommandLineTool
import EtcdUtlKit
import FileSystem
import Platform

/// The `etcdutl` executable.
@main
struct Main {
  static func main() {
    let world = EtcdUtl.World(
      fileSystem: RealFileSystem(), now: { WallClock.seconds },
      pause: { Program.sleep(milliseconds: 100) },
      random: {
        var generator = SystemRandomNumberGenerator()
        return generator.next()
      },
      resolve: { HostLookup.numeric($0) })
    let console = Console(
      print: { StandardStreams.write($0, to: StandardStreams.output) },
      printError: { StandardStreams.write($0, to: StandardStreams.error) })
    let code = EtcdUtl.tool(world).run(
      Array(ProcessEnvironment.words.dropFirst()), console: console)
    Program.exit(code)
  }
}
