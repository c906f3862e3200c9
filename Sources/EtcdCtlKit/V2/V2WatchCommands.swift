import CommandLineTool
import EventLoops
import V2API

/// - Source: etcd 3.5 `etcdctl/ctlv2/command/watch_command.go`, `exec_watch_command.go`.
extension EtcdCtl {
  private static let afterIndex = V2Flag(
    "after-index", .int, default: "0", "watch after the given index")

  static let v2WatchCommands: [V2Command] = [
    V2Command(
      name: "watch", usage: "watch a key for changes", argumentsUsage: "<key>",
      flags: [
        V2Flag(["forever", "f"], .bool, "forever watch a key until CTRL+C"), afterIndex,
        V2Flag(["recursive", "r"], .bool, "returns all values for key and child keys"),
      ],
      run: { (invocation) throws(CommandFailure) in
        let client = try V2Client(invocation)
        var watch = V2Watch(client, try invocation.key())
        repeat {
          let response = try watch.next()
          guard !response.node.isDirectory else { continue }
          if invocation.words.bool("recursive") {
            invocation.console.print("[\(response.action)] \(response.node.key)\n")
          }
          response.show(invocation)
          if !invocation.words.bool("forever") { return }
        } while true
      }),
    V2Command(
      name: "exec-watch", usage: "watch a key for changes and exec an executable",
      argumentsUsage: "<key> <command> [args...]",
      flags: [
        afterIndex,
        V2Flag(["recursive", "r"], .bool, "watch all values for key and child keys"),
      ],
      run: { (invocation) throws(CommandFailure) in
        let client = try V2Client(invocation)
        let (key, command) = try execution(invocation)
        var watch = V2Watch(client, key)
        while true {
          let response = try watch.next()
          if response.node.isDirectory {
            client.debug("Ignored dir \(response.node.key) change")
          } else {
            start(command, response, client)
          }
        }
      }),
  ]

  /// Key and command; without `--` in between the key comes last, whatever the usage says: so it is in Go's.
  private static func execution(
    _ invocation: V2Invocation
  ) throws(CommandFailure) -> (key: String, command: [String]) {
    let words = invocation.arguments
    guard words.count >= 2, let first = words.first, let last = words.last else {
      throw V2Failure.other("key and command to exec required")
        .told(invocation, exitCode: CommandFailure.badArguments)
    }
    guard words.dropFirst().contains("--") else { return (last, words.dropLast()) }
    let command = Array(words.dropFirst(2))
    guard !command.isEmpty else {
      throw V2Failure.other("key and command to exec required")
        .told(invocation, exitCode: CommandFailure.badArguments)
    }
    return (first, command)
  }

  /// Runs the command beside what goes on.
  private static func start(_ command: [String], _ response: V2Response, _ client: V2Client) {
    let invocation = client.invocation
    var environment = invocation.world.environment
    environment.merge([
      "ETCD_WATCH_ACTION": response.action,
      "ETCD_WATCH_MODIFIED_INDEX": "\(response.node.modifiedIndex)",
      "ETCD_WATCH_KEY": response.node.key, "ETCD_WATCH_VALUE": response.node.value,
    ]) { $1 }
    let child = Child(loop: client.loop)
    Task { [environment] in
      guard case .notStarted(let reason) = await child.run(command, environment: environment)
      else { return }
      invocation.console.printError(reason)
      invocation.world.exit(CommandFailure.error)
    }
  }
}

/// Changes of a key, one after another.
private struct V2Watch {
  private let keys: V2Keys
  private let key: String
  private var index: UInt64

  /// From now on SIGINT ends the process with success.
  init(_ client: V2Client, _ key: String) {
    keys = V2Keys(client: client)
    self.key = key
    // Go's conversion: a number below zero becomes a large one.
    let after = UInt64(bitPattern: client.invocation.words.int("after-index"))
    index = after > 0 ? after &+ 1 : 0
    client.endWithInterrupt()
  }

  mutating func next() throws(CommandFailure) -> V2Response {
    while true {
      do throws(V2Failure) {
        let request = V2Keys.wait(key, from: index, keys.client.invocation.words)
        let answer = try keys.client.ask(request, deadline: nil)
        // A server that ends the wait without an event is asked again.
        guard let response = try V2Response(answer) else { continue }
        index = response.node.modifiedIndex &+ 1
        return response
      } catch { throw keys.client.told(error) }
    }
  }
}
