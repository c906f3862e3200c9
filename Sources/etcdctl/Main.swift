import CommandLineTool
import EtcdCtlKit
import EtcdUtlKit
import EventLoops
import FileSystem
import Platform

/// The `etcdctl` executable.
@main
struct Main {
  static func main() {
    Signals.unblockAll()
    Signals.ignore([Signals.brokenPipe])
    let files = EtcdUtl.World(
      fileSystem: RealFileSystem(), now: { WallClock.seconds },
      pause: { Program.sleep(milliseconds: 100) },
      random: {
        var generator = SystemRandomNumberGenerator()
        return generator.next()
      },
      resolve: { HostLookup.numeric($0) })
    var world = EtcdCtl.World(
      files: files, environment: ProcessEnvironment.variables,
      write: { StandardStreams.write($0, to: StandardStreams.output) },
      read: { StandardStreams.read($0) },
      askPassword: { StandardStreams.askPassword($0) },
      preciseNow: { Double(WallClock.nanoseconds / 1000) / 1_000_000 },
      showsProgress: Descriptor.isTerminal(StandardStreams.error),
      exit: { Program.exit($0) })
    world.showsLive = Descriptor.isTerminal(StandardStreams.output)
    world.isOutputOpen = { !Descriptor.isHungUp(StandardStreams.output) }
    let console = Console(
      print: { StandardStreams.write($0, to: StandardStreams.output) },
      printError: { StandardStreams.write($0, to: StandardStreams.error) })
    Program.exit(
      EtcdCtl.run(ProcessEnvironment.arguments.map(EtcdCtl.argument), world, console: console))
  }
}
