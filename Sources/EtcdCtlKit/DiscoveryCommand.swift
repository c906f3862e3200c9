import Bytes
import CommandLineTool
import Discovery
import EtcdAPI
import GoText
import JSON
import Protobuf

/// `etcdctl discovery`: ours, Go's etcdctl has none.
extension EtcdCtl {
  static func discoveryCommand(_ world: World) -> Command {
    var new = command(
      "new [options]", "Makes a token by which the members of a new cluster find each other",
      [
        CommandFlag("size", .signed, default: "3", "how many members the cluster is to have"),
        CommandFlag("token", .string, "the token (by default one that nobody can guess)"),
        CommandFlag("token-ttl", .duration, default: "168h0m0s", "life of the token, 0 for ever"),
      ]
    ) { (invocation) throws(CommandFailure) in try makeToken(invocation, world) }
    new.long = """
      Writes the size of the cluster below \(RegistryToken.root)TOKEN in the etcd that --endpoints names, where members
      of etcd 3.6 and of ours look for it (--discovery-endpoints, --discovery-token; where it needs certificates or a
      user, members are told by --discovery-cacert, --discovery-cert, --discovery-key and --discovery-user).
      Older members ask by HTTP: "etcd discovery serve" before the same etcd serves the token to them (--discovery).
      """
    var discovery = Command(
      "discovery <subcommand>", short: "Discovery of the members of new clusters")
    discovery.commands = [new]
    return discovery
  }

  private static func makeToken(
    _ invocation: Invocation, _ world: World
  ) throws(CommandFailure) {
    let size = invocation.signed("size")
    guard let size = Int(exactly: size), (1...RegistryToken.sizeMax).contains(size) else {
      throw misuse(
        "--size is how many members found the cluster, 1 to \(RegistryToken.sizeMax), not \(size)")
    }
    let given = invocation.string("token")
    guard let token = given.isEmpty ? .random() : RegistryToken(given) else {
      throw misuse(
        "--token has letters, digits, '-' and '_', \(RegistryToken.nameMax) at most, not "
          + GoQuote.text(given))
    }
    guard let life = RegistryToken.life(invocation.string("token-ttl")) else {
      throw misuse(
        "--token-ttl is 0 or a minute at least, not \(invocation.string("token-ttl"))")
    }
    let context = try Context(invocation, world)
    let lease = life > 0 ? try lease(life, context) : 0
    let answer = try context.request(
      Etcdserverpb.KVService.txn, token.creation(size: size, lease: lease),
      Etcdserverpb.TxnResponse.self)
    guard answer.message.succeeded else {
      if lease != 0 { revoke(lease, context) }
      throw CommandFailure(taken(token, answer.message))
    }
    try context.printer.show(views(token, size, lease, context, answer.message.header))
  }

  private static func lease(_ life: Int64, _ context: Context) throws(CommandFailure) -> Int64 {
    try context.request(
      Etcdserverpb.LeaseService.leaseGrant, Etcdserverpb.LeaseGrantRequest(ttl: life),
      Etcdserverpb.LeaseGrantResponse.self
    ).message.id
  }

  /// One that fails ends with its time.
  private static func revoke(_ lease: Int64, _ context: Context) {
    _ = try? context.call(
      Etcdserverpb.LeaseService.leaseRevoke, Etcdserverpb.LeaseRevokeRequest(id: lease),
      Etcdserverpb.LeaseRevokeResponse.self)
  }

  private static func taken(_ token: RegistryToken, _ answer: Etcdserverpb.TxnResponse) -> String {
    var size = "?"
    if case .responseRange(let found) = answer.responses.first?.response {
      size = found.kvs.first?.value.string ?? size
    }
    return "the token \(token.text) is there already, for \(size.prefix(20)) members; leave --token"
      + " out for another one, or take this one away with: etcdctl del --prefix \(token.directory)"
  }

  private static func views(
    _ token: RegistryToken, _ size: Int, _ lease: Int64, _ context: Context,
    _ header: Etcdserverpb.ResponseHeader?
  ) -> Views {
    let endpoints = context.settings.endpoints
    return Views(
      simple: { out in
        out.append("\(token.text)\n")
        out.append(
          "start \(size == 1 ? "the member" : "each of \(size) members") with --discovery-endpoints"
            + " \(endpoints.joined(separator: ",")) --discovery-token \(token.text)\n")
      },
      json: {
        var object = GoObject(header: header)
        object.always("token", .string(token.text))
        object.always("size", .integer(size))
        object.number("lease", lease)
        object.always("endpoints", .array(endpoints.map(JSONValue.string)))
        return object.json
      },
      fields: { text in
        text.header(header)
        text.quoted("Token", token.text)
        text.plain("Size", size)
        text.plain("Lease", lease)
        for endpoint in endpoints { text.quoted("Endpoint", endpoint) }
      })
  }
}
