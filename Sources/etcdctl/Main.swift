import CommandLineTool
import EtcdCtlKit
import EtcdUtlKit
import EventLoops
import FileSystem
import Platform

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
      files: files, environment: ProcessEnvironment.variables,
      write: { StandardStreams.write($0, to: StandardStreams.output) },
      read: { StandardStreams.read($0) },
      askPassword: { StandardStreams.askPassword($0) },
      preciseNow: { Double(WallClock.nanoseconds / 1000) / 1_000_000 })
    let console = Console(
      print: { StandardStreams.write($0, to: StandardStreams.output) },
      printError: { StandardStreams.write($0, to: StandardStreams.error) })
    exit(EtcdCtl.run(ProcessEnvironment.arguments.map(EtcdCtl.argument), world, console: console))
  }
}
