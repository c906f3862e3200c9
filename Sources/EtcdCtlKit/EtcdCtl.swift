import Bytes
import CommandLineTool
import DNS
import EtcdConfig
import EtcdUtlKit

/// The commands of `etcdctl`: a client of etcd's v3 API for people and scripts.
///
/// - Source: etcd 3.5 `etcdctl/ctlv3`.
public enum EtcdCtl {
  /// What the commands need from the machine.
  public struct World: Sendable {
    /// For the commands on files.
    public let files: EtcdUtl.World
    public let environment: [String: String]
    /// Writes to standard output; results may hold any bytes.
    public let write: @Sendable (Bytes) -> Void
    /// The next piece of standard input with so many bytes at most; empty at its end.
    public let read: @Sendable (Int) -> Bytes
    /// Asks for a password, which a terminal does not show.
    public let askPassword: @Sendable (String) -> String
    /// Seconds since 1970-01-01 UTC with the fraction that logs show.
    public let preciseNow: @Sendable () -> Double
    /// Whether somebody looks at standard error: a terminal, where progress may be shown.
    public let showsProgress: Bool
    /// Ends the process, from a task beside the one that runs the command.
    public let exit: @Sendable (Int32) -> Void
    /// Whether somebody looks at standard output: a terminal, of which the screen may be written over.
    public var showsLive = false
    /// Whether somebody may still read standard output.
    public var isOutputOpen: @Sendable () -> Bool = { true }
    /// Asks the DNS where members are.
    package var services: ServiceLookup = { name throws(DNSFailure) in
      try Resolver().services(of: name)
    }
    /// What becomes of the command's connections.
    var phases = PhaseLog()
    public init(
      files: EtcdUtl.World, environment: [String: String],
      write: @escaping @Sendable (Bytes) -> Void, read: @escaping @Sendable (Int) -> Bytes,
      askPassword: @escaping @Sendable (String) -> String,
      preciseNow: @escaping @Sendable () -> Double, showsProgress: Bool,
      exit: @escaping @Sendable (Int32) -> Void
    ) {
      self.files = files
      self.environment = environment
      self.write = write
      self.read = read
      self.askPassword = askPassword
      self.preciseNow = preciseNow
      self.showsProgress = showsProgress
      self.exit = exit
    }
  }

  /// The program.
  public static func tool(_ world: World) -> Tool {
    var root = Command("etcdctl", short: "A simple command line client for etcd3.")
    root.persistentFlags = Globals.flags
    root.commands = [
      getCommand(world), putCommand(world), deleteCommand(world), txnCommand(world),
      compactionCommand(world), alarmCommand(world), defragCommand(world),
      endpointCommand(world), moveLeaderCommand(world), versionCommand(), leaseCommand(world),
      memberCommand(world), snapshotCommand(world), authCommand(world), userCommand(world),
      roleCommand(world), checkCommand(world), watchCommand(world), lockCommand(world),
      electCommand(world), makeMirrorCommand(world), migrateCommand(world), doctorCommand(world),
      topCommand(world), discoveryCommand(world),
    ]
    var tool = Tool(root)
    tool.helpText = { HelpText.text($0) }
    tool.printsUsageAsOutput = true
    return tool
  }

  /// Runs a command line. The variable ETCDCTL_API says which API it is of, 2 or 3; with 3 and without it, what exists
  /// in the v2 API only is of that.
  /// - Returns: the exit code.
  public static func run(
    _ arguments: [String], _ world: World, console: Console
  ) -> Int32 {
    let version = world.environment["ETCDCTL_API"] ?? ""
    guard ["", "2", "3"].contains(version) else {
      console.printError("unsupported API version: \(version)\n")
      return CommandFailure.error
    }
    if version == "2" || V2Mode.isMeant(by: arguments) {
      return V2Program(world: world, console: console).run(arguments)
    }
    // Several command lines may share one world.
    var world = world
    world.phases = PhaseLog()
    let code = tool(world).run(arguments, console: console)
    if code != 0 { console.printError(HintFinder(world.phases).text()) }
    return code
  }

  private static func versionCommand() -> Command {
    var version = Command("version", short: "Prints the version of etcdctl")
    version.run = { (invocation) throws(CommandFailure) in
      let parts = ServerVersion.majorMinor(ServerVersion.etcd)
      invocation.console.print("etcdctl version: \(ServerVersion.etcd)\nAPI version: \(parts)\n")
    }
    return version
  }

  /// A command that takes words and flags.
  static func command(
    _ use: String, _ short: String, _ flags: [CommandFlag] = [],
    _ run: @escaping @Sendable (Invocation) throws(CommandFailure) -> Void
  ) -> Command {
    var command = Command(use, short: short)
    command.flags = flags
    command.run = run
    return command
  }

  /// A refusal of the words on the command line.
  static func misuse(_ message: String) -> CommandFailure {
    CommandFailure(message, exitCode: CommandFailure.badArguments)
  }
}

/// Bytes of a word of the command line. What was no UTF-8 there travels as U+10FF00 plus the byte.
func argumentBytes(_ word: String) -> Bytes {
  var out = ByteWriter(capacity: word.utf8.count)
  for scalar in word.unicodeScalars {
    if (0x10_ff80...0x10_ffff).contains(scalar.value) {
      out.append(UInt8(truncatingIfNeeded: scalar.value))
    } else {
      out.append(String(scalar))
    }
  }
  return out.finish()
}

extension EtcdCtl {
  /// A word of the command line as a string that `argumentBytes` turns back.
  public static func argument(_ bytes: [UInt8]) -> String {
    if let text = String(validating: bytes, as: UTF8.self) { return text }
    var text = String.UnicodeScalarView()
    var decoder = UTF8()
    var rest = bytes[...]
    while !rest.isEmpty {
      var iterator = rest.makeIterator()
      if case .scalarValue(let scalar) = decoder.decode(&iterator) {
        text.append(scalar)
        rest = rest.dropFirst(UTF8.width(scalar))
      } else {
        text.append(Unicode.Scalar(0x10_ff00 + UInt32(rest.removeFirst()))!)
      }
      decoder = UTF8()
    }
    return String(text)
  }
}
