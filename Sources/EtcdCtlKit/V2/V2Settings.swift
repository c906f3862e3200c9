import CommandLineTool
import DNS
import EtcdClient
import GoText
import V2API

/// What the flags of the v2 API say, and the variables for those that are not given.
///
/// - Source: etcd 3.5 `etcdctl/ctlv2/command/util.go`.
struct V2Settings {
  private let invocation: V2Invocation

  init(_ invocation: V2Invocation) { self.invocation = invocation }

  private func text(_ flag: String) -> String {
    let given = invocation.globals.string(flag)
    guard given.isEmpty else { return given }
    return invocation.world.environment[Globals.variable(flag)] ?? ""
  }

  /// - Throws: for the first that is no URL; when the DNS is asked and knows none.
  func endpoints() throws(CommandFailure) -> [V2Endpoint] {
    var found: [V2Endpoint] = []
    for word in try list() {
      do throws(GoURL.Failure) { found.append(try V2Endpoint(word)) } catch {
        let refusal = invocation.refused(error.description)
        if (try? GoURL("http://\(word)")) != nil {
          invocation.console.printError("Hint: write the scheme, too: http://\(word)\n")
        }
        throw refusal
      }
    }
    return found
  }

  /// The files of TLS and the name to verify; `nil` without any.
  var tls: EtcdClientConfiguration.TLS? {
    let files = ["cert-file", "key-file", "ca-file"].map(text)
    let serverName = discovery.serverName
    guard !files.allSatisfy(\.isEmpty) || !serverName.isEmpty else { return nil }
    return EtcdClientConfiguration.TLS(
      certificateFile: files[0], keyFile: files[1], trustedCAFile: files[2],
      serverName: serverName)
  }

  /// Who asks; the password may be asked for.
  var credentials: EtcdClientConfiguration.Credentials? {
    let world = invocation.world
    return ClientSettings.user(text("username"), "") { world.askPassword("Password: ") }
      .map { .init(name: $0.name, password: $0.password) }
  }

  private var discovery: Discovery {
    Discovery(
      domain: text("discovery-srv"), suffix: text("discovery-srv-name"),
      isInsecure: invocation.globals.bool("insecure-discovery")
        || !(invocation.world.environment["ETCDCTL_INSECURE_DISCOVERY"] ?? "").isEmpty)
  }

  /// What the DNS names, else what flags and variables do.
  private func list() throws(CommandFailure) -> [String] {
    let discovered: [String]
    do throws(ClientLookupFailure) {
      discovered = try discovery.endpoints(invocation.world.services, invocation.console)
    } catch {
      throw invocation.refused(error.description)
    }
    guard discovered.isEmpty else { return discovered }
    let given = ["endpoints", "endpoint", "peers"].map(text).first { !$0.isEmpty }
    return (given ?? "http://127.0.0.1:2379,http://127.0.0.1:4001")
      .split(separator: ",", omittingEmptySubsequences: false).map(String.init)
  }
}
