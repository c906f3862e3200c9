import Bytes
import CommandLineTool
import EtcdAPI
import EtcdConfig
import GoText
import JSON
import Protobuf

extension EtcdCtl {
  /// - Source: etcd `etcdctl/ctlv3/command/member_command.go`.
  static func memberCommand(_ world: World) -> Command {
    var member = Command("member <subcommand>", short: "Membership related commands")
    var list = command("list", "Lists all members in the cluster") {
      (invocation) throws(CommandFailure) in try listMembers(invocation, world)
    }
    list.long = """
      When --write-out is set to simple, this command prints out comma-separated member lists for \
      each endpoint.
      The items in the lists are ID, Status, Name, Peer Addrs, Client Addrs, Is Learner.
      """
    var promote = command("promote <memberID>", "Promotes a non-voting member in the cluster") {
      (invocation) throws(CommandFailure) in
      let id = try memberID(invocation)
      try change(
        invocation, world, Etcdserverpb.ClusterService.memberPromote,
        Etcdserverpb.MemberPromoteRequest(id: id), Etcdserverpb.MemberPromoteResponse.self,
        id, "promoted in", \.header, \.members)
    }
    promote.long = "Promotes a non-voting learner member to a voting one in the cluster."
    member.commands = [
      command(
        "add <memberName> [options]", "Adds a member into the cluster",
        [
          CommandFlag(
            "peer-urls", .string, "comma separated peer URLs for the new member."),
          CommandFlag("learner", .bool, "indicates if the new member is raft learner"),
        ]
      ) { (invocation) throws(CommandFailure) in try addMember(invocation, world) },
      command("remove <memberID>", "Removes a member from the cluster") {
        (invocation) throws(CommandFailure) in
        let id = try memberID(invocation)
        try change(
          invocation, world, Etcdserverpb.ClusterService.memberRemove,
          Etcdserverpb.MemberRemoveRequest(id: id), Etcdserverpb.MemberRemoveResponse.self,
          id, "removed from", \.header, \.members)
      },
      command(
        "update <memberID> [options]", "Updates a member in the cluster",
        [
          CommandFlag(
            "peer-urls", .string, "comma separated peer URLs for the updated member.")
        ]
      ) { (invocation) throws(CommandFailure) in
        let id = try memberID(invocation)
        let urls = try peerURLs(invocation)
        try check(urls)
        try change(
          invocation, world, Etcdserverpb.ClusterService.memberUpdate,
          Etcdserverpb.MemberUpdateRequest(id: id, peerURLs: urls),
          Etcdserverpb.MemberUpdateResponse.self, id, "updated in", \.header, \.members)
      },
      list, promote,
    ]
    return member
  }

  private static func memberID(_ invocation: Invocation) throws(CommandFailure) -> UInt64 {
    guard invocation.arguments.count == 1 else { throw misuse("member ID is not provided") }
    do throws(CommandFailure) { return try Numbers.hexID(invocation.arguments[0]) } catch {
      throw misuse("bad member ID arg (\(error.message)), expecting ID in Hex")
    }
  }

  private static func peerURLs(_ invocation: Invocation) throws(CommandFailure) -> [String] {
    let text = invocation.string("peer-urls")
    guard !text.isEmpty else { throw misuse("member peer urls not provided") }
    return text.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
  }

  /// - Throws: in the words of Go's client, for what no server would take.
  private static func check(_ urls: [String]) throws(CommandFailure) {
    do throws(EtcdURL.Failure) { _ = try EtcdURL.list(urls.joined(separator: ",")) } catch {
      throw CommandFailure(error.message)
    }
  }

  /// A number as `%16x` writes it.
  private static func wide(_ id: UInt64) -> String {
    let digits = String(id, radix: 16)
    return String(repeating: " ", count: 16 - digits.count) + digits
  }

  /// A request that changes one member and is answered with all of them.
  private static func change<Reply: ProtobufMessage>(
    _ invocation: Invocation, _ world: World, _ method: MethodDescriptor,
    _ request: some ProtobufMessage, _ type: Reply.Type, _ id: UInt64, _ done: String,
    _ header: KeyPath<Reply, Etcdserverpb.ResponseHeader?>,
    _ members: KeyPath<Reply, [Etcdserverpb.Member]>
  ) throws(CommandFailure) {
    let context = try Context(invocation, world)
    let answer = try context.request(method, request, type)
    let found = answer.message[keyPath: header]
    let all = answer.message[keyPath: members]
    try context.printer.show(
      Views(
        simple: { out in
          out.append("Member \(wide(id)) \(done) cluster \(wide(found?.clusterID ?? 0))\n")
        },
        json: {
          var object = GoObject(header: found)
          object.list("members", all.map(\.goJSON))
          return object.json
        }, raw: answer.raw))
  }

  private static func addMember(
    _ invocation: Invocation, _ world: World
  ) throws(CommandFailure) {
    guard let name = invocation.arguments.first else { throw misuse("member name not provided") }
    guard invocation.arguments.count == 1 else {
      let urls = invocation.arguments.filter { $0.lowercased().hasPrefix("http") }
      throw misuse(
        "too many arguments" + urls.map { ", did you mean --peer-urls=\($0)" }.joined())
    }
    let urls = try peerURLs(invocation)
    let context = try Context(invocation, world)
    try check(urls)
    let answer = try context.request(
      Etcdserverpb.ClusterService.memberAdd,
      Etcdserverpb.MemberAddRequest(peerURLs: urls, isLearner: invocation.bool("learner")),
      Etcdserverpb.MemberAddResponse.self)
    let reply = answer.message
    let id = reply.member?.id ?? 0
    try context.printer.show(
      Views(
        simple: { out in
          out.append("Member \(wide(id)) added to cluster \(wide(reply.header?.clusterID ?? 0))\n")
          let cluster = reply.members.flatMap { member in
            member.peerURLs.map { "\(member.id == id ? name : member.name)=\($0)" }
          }
          out.append("\nETCD_NAME=\(GoQuote.text(name))\n")
          out.append("ETCD_INITIAL_CLUSTER=\(GoQuote.text(cluster.joined(separator: ",")))\n")
          out.append(
            "ETCD_INITIAL_ADVERTISE_PEER_URLS=\(GoQuote.text(invocation.string("peer-urls")))\n")
          out.append("ETCD_INITIAL_CLUSTER_STATE=\"existing\"\n")
        },
        json: {
          var object = GoObject(header: reply.header)
          object.optional("member", reply.member?.goJSON)
          object.list("members", reply.members.map(\.goJSON))
          return object.json
        }, raw: answer.raw))
  }

  private static func listMembers(
    _ invocation: Invocation, _ world: World
  ) throws(CommandFailure) {
    let context = try Context(invocation, world)
    let answer = try context.request(
      Etcdserverpb.ClusterService.memberList,
      Etcdserverpb.MemberListRequest(linearizable: true), Etcdserverpb.MemberListResponse.self)
    let reply = answer.message
    let rows = reply.members.map { member in
      [
        String(member.id, radix: 16), member.name.isEmpty ? "unstarted" : "started", member.name,
        member.peerURLs.joined(separator: ","), member.clientURLs.joined(separator: ","),
        "\(member.isLearner)",
      ]
    }
    let isHex = context.settings.isHex
    try context.printer.show(
      Views(
        simple: { out in for row in rows { out.append(row.joined(separator: ", ") + "\n") } },
        json: { isHex ? reply.hexJSON : reply.goJSON },
        fields: { $0.add(reply) },
        table: (
          ["ID", "Status", "Name", "Peer Addrs", "Client Addrs", "Is Learner"], rows
        ), raw: answer.raw))
  }
}

extension Etcdserverpb.MemberListResponse {
  fileprivate var goJSON: JSONValue {
    var object = GoObject(header: header)
    object.list("members", members.map(\.goJSON))
    return object.json
  }

  /// Numbers of members in hexadecimal; the term too, but as a number.
  fileprivate var hexJSON: JSONValue {
    func hex(_ id: UInt64) -> JSONValue { .string(String(id, radix: 16)) }
    func list(_ urls: [String]) -> JSONValue {
      urls.isEmpty ? .null : .array(urls.map { .string($0) })
    }
    let header = header ?? Etcdserverpb.ResponseHeader()
    var object = GoObject()
    object.always(
      "header",
      [
        "cluster_id": hex(header.clusterID), "member_id": hex(header.memberID),
        "raft_term": .number(String(header.raftTerm, radix: 16)),
      ])
    object.list(
      "members",
      members.map { member in
        [
          "ID": hex(member.id), "name": .string(member.name), "peerURLs": list(member.peerURLs),
          "clientURLS": list(member.clientURLs),
        ]
      })
    return object.json
  }
}

extension FieldsText {
  fileprivate mutating func add(_ reply: Etcdserverpb.MemberListResponse) {
    header(reply.header)
    for member in reply.members {
      plain("ID", member.id)
      quoted("Name", member.name)
      for url in member.peerURLs { quoted("PeerURL", url) }
      for url in member.clientURLs { quoted("ClientURL", url) }
      plain("IsLearner", member.isLearner)
      line()
    }
  }
}
