import CommandLineTool
import EtcdClient
import EventLoops
import GoText
import TLS

/// The command lines of `etcd discovery`. etcd has no such command.
package enum DiscoveryCommand {
  /// What the program's first word has to be.
  package static let name = "discovery"

  /// Makes a service of what a command line says.
  package typealias Start = @Sendable (DiscoveryService.Options, ChannelPolicy, Console) -> Int32

  /// `etcd` as far as it is made of commands.
  /// - Parameter start: runs a service; its exit code.
  package static func tool(_ start: @escaping Start) -> Tool {
    var discovery = Command(
      "discovery <subcommand>", short: "how new members find each other, without a public service")
    discovery.commands = [serveCommand(start)]
    var root = Command("etcd", short: "etcd server")
    root.commands = [discovery]
    var tool = Tool(root, matchesPrefixes: false)
    tool.helpText = { $0.help() }
    return tool
  }

  private static func serveCommand(_ start: @escaping Start) -> Command {
    let fallback = DiscoveryService.Options()
    var command = Command("serve", short: "serves tokens over any etcd that has the v3 API")
    command.long = """
      Serves the protocol of discovery.etcd.io: GET /new?size=3 gives the URL of a token, with which each member of a
      new cluster is started (--discovery). It keeps nothing itself; tokens are keys of the etcd behind it, and end
      with their time. Who knows a token can change what is in it.
      """
    command.flags = [
      CommandFlag("listen-addr", .string, default: fallback.address, "address to listen on"),
      CommandFlag(
        "endpoints", .strings, default: fallback.endpoints.joined(separator: ","),
        "comma separated client URLs of the etcd behind it"),
      CommandFlag(
        "advertise-url", .string,
        "what URLs of tokens begin with (by default what clients call this service)"),
      CommandFlag("prefix", .string, default: fallback.prefix, "keys of tokens lie below it"),
      CommandFlag("token-ttl", .duration, default: "168h0m0s", "life of a token; 0 for ever"),
      CommandFlag("cert-file", .string, "certificate of this service, for TLS"),
      CommandFlag("key-file", .string, "key of this service, for TLS"),
      CommandFlag("cacert", .string, "verify certificates of the etcd behind it by this CA bundle"),
      CommandFlag("cert", .string, "identify to the etcd behind it by this certificate"),
      CommandFlag("key", .string, "the key of that certificate"),
      CommandFlag("user", .string, "username[:password] at the etcd behind it"),
    ]
    command.run = { (call) throws(CommandFailure) in
      guard call.arguments.isEmpty else {
        throw CommandFailure("discovery serve takes no arguments, only flags")
      }
      let code = start(try options(call), try policy(call), call.console)
      if code != 0 { throw .told(exitCode: code) }
    }
    return command
  }

  private static func options(
    _ call: Invocation
  ) throws(CommandFailure) -> DiscoveryService.Options {
    var options = DiscoveryService.Options()
    guard let listen = HostPort(call.string("listen-addr")), let port = UInt16(listen.port) else {
      throw CommandFailure(
        "--listen-addr is a host and a port, such as 127.0.0.1:8087, not '\(call.string("listen-addr"))'"
      )
    }
    (options.host, options.port) = (listen.host, Int(port))
    options.endpoints = call.string("endpoints").split(separator: ",").map(String.init)
    guard !options.endpoints.isEmpty else { throw CommandFailure("--endpoints names nobody") }
    options.url = call.string("advertise-url")
    while options.url.hasSuffix("/") { options.url.removeLast() }
    options.prefix = call.string("prefix")
    guard options.prefix.hasPrefix("/"), options.prefix.hasSuffix("/") else {
      throw CommandFailure("--prefix begins and ends with a slash, not '\(options.prefix)'")
    }
    guard let life = RegistryToken.life(call.string("token-ttl")) else {
      throw CommandFailure("--token-ttl is 0 or a minute at least, not \(call.string("token-ttl"))")
    }
    options.life = life
    let user = call.string("user").split(
      separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
    if user.count == 2 {
      options.credentials = .init(name: String(user[0]), password: String(user[1]))
    } else if !call.string("user").isEmpty {
      throw CommandFailure("--user is name:password")
    }
    let tls = EtcdClientConfiguration.TLS(
      certificateFile: call.string("cert"), keyFile: call.string("key"),
      trustedCAFile: call.string("cacert"))
    if tls != EtcdClientConfiguration.TLS() { options.clientTLS = tls }
    options.isSecure = !call.string("cert-file").isEmpty
    return options
  }

  private static func policy(_ call: Invocation) throws(CommandFailure) -> ChannelPolicy {
    var settings = TLSSettings()
    settings.certificateFile = call.string("cert-file")
    settings.keyFile = call.string("key-file")
    guard !settings.certificateFile.isEmpty || !settings.keyFile.isEmpty else { return .plain }
    do throws(TLSFailure) {
      return .layered(TLSLayer(try TLSMaterial(settings, protocols: ["http/1.1"])))
    } catch { throw CommandFailure("cannot use --cert-file and --key-file: \(error.description)") }
  }
}
