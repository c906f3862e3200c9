import CommandLineTool
import GoText

/// The command lines of `etcd gateway`.
///
/// - Source: etcd `etcdmain/gateway.go`.
package enum GatewayCommand {
  /// What the program's first word has to be.
  package static let name = "gateway"

  /// `etcd` as far as it is made of commands.
  /// - Parameter start: runs a gateway; its exit code.
  package static func tool(
    _ start: @escaping @Sendable (GatewayOptions, Console) -> Int32
  ) -> Tool {
    var gateway = Command("gateway <subcommand>", short: "gateway related command")
    gateway.commands = [startCommand(start)]
    return .proxy(gateway)
  }

  private static func startCommand(
    _ start: @escaping @Sendable (GatewayOptions, Console) -> Int32
  ) -> Command {
    let fallback = GatewayOptions()
    var command = Command("start", short: "start the gateway")
    command.flags = [
      CommandFlag(
        "listen-addr", .string, default: fallback.listenAddress, "listen address"),
      CommandFlag("discovery-srv", .string, "DNS domain used to bootstrap initial cluster"),
      CommandFlag(
        "discovery-srv-name", .string, "service name to query when using DNS discovery"),
      CommandFlag("insecure-discovery", .bool, "accept insecure SRV records"),
      CommandFlag(
        "trusted-ca-file", .string,
        "path to the client server TLS CA file for verifying the discovered endpoints when"
          + " discovery-srv is provided."),
      CommandFlag(
        "endpoints", .strings, default: fallback.endpoints.joined(separator: ","),
        "comma separated etcd cluster endpoints"),
      CommandFlag(
        "retry-delay", .duration, default: "1m0s",
        "duration of delay before retrying failed endpoints"),
    ]
    command.run = { (invocation) throws(CommandFailure) in
      let code = start(options(invocation), invocation.console)
      if code != 0 { throw .told(exitCode: code) }
    }
    return command
  }

  private static func options(_ invocation: Invocation) -> GatewayOptions {
    var options = GatewayOptions()
    let endpoints = invocation.string("endpoints")
    options.endpoints =
      endpoints.isEmpty
      ? [] : endpoints.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
    options.listenAddress = invocation.string("listen-addr")
    options.discoveryDomain = invocation.string("discovery-srv")
    options.discoveryService = invocation.string("discovery-srv-name")
    options.isInsecureDiscovery = invocation.bool("insecure-discovery")
    options.trustedCAFile = invocation.string("trusted-ca-file")
    // The flag's kind has read it before.
    let delay = (try? GoDuration.parse(invocation.string("retry-delay"))) ?? 0
    options.retryDelay = .nanoseconds(delay)
    return options
  }
}

extension Tool {
  /// `etcd` as far as it is made of one command.
  package static func proxy(_ command: Command) -> Tool {
    var root = Command("etcd", short: "etcd server")
    root.commands = [command]
    var tool = Tool(root, matchesPrefixes: false)
    tool.helpText = { path in "\(path.command.short)\n\n\(path.usage())" }
    // Cobra's, and then that of etcd's main, without an end of the line.
    tool.misuse = { path, message in "Error: \(message)\n\(path.usage())\n\(message)" }
    return tool
  }
}
