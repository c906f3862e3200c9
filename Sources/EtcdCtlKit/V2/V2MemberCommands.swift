import CommandLineTool
import GoText
import V2API

/// - Source: etcd 3.5 `etcdctl/ctlv2/command/member_commands.go`.
extension EtcdCtl {
  static let v2MemberCommand = V2Command(
    name: "member", usage: "member add, remove and list subcommands",
    commands: [
      V2Command(
        name: "list", usage: "enumerate existing cluster members", argumentsUsage: " ",
        run: { (invocation) throws(CommandFailure) in try listV2Members(invocation) }),
      V2Command(
        name: "add", usage: "add a new member to the etcd cluster",
        argumentsUsage: "<name> <peerURL>",
        run: { (invocation) throws(CommandFailure) in try addV2Member(invocation) }),
      V2Command(
        name: "remove", usage: "remove an existing member from the etcd cluster",
        argumentsUsage: "<memberID>",
        run: { (invocation) throws(CommandFailure) in try removeV2Member(invocation) }),
      V2Command(
        name: "update", usage: "update an existing member in the etcd cluster",
        argumentsUsage: "<memberID> <peerURLs>",
        run: { (invocation) throws(CommandFailure) in try updateV2Member(invocation) }),
    ])

  private static func listV2Members(_ invocation: V2Invocation) throws(CommandFailure) {
    guard invocation.arguments.isEmpty else {
      throw invocation.refused("No arguments accepted")
    }
    let members = V2Members(try V2Client(invocation), deadline: invocation.deadline)
    let all: [V2Member]
    do throws(V2Failure) { all = try members.list() } catch {
      throw invocation.refused(error.message)
    }
    let leader: String
    do throws(V2Failure) { leader = try members.leader() } catch {
      throw invocation.refused("Failed to get leader:  \(error.message)")
    }
    for member in all {
      let peers = member.peerURLs.joined(separator: ",")
      guard !member.name.isEmpty else {
        invocation.console.print("\(member.id)[unstarted]: peerURLs=\(peers)\n")
        continue
      }
      let clients = member.clientURLs.joined(separator: ",")
      invocation.console.print(
        "\(member.id): name=\(member.name) peerURLs=\(peers) clientURLs=\(clients) "
          + "isLeader=\(member.id == leader)\n")
    }
  }

  private static func addV2Member(_ invocation: V2Invocation) throws(CommandFailure) {
    guard invocation.arguments.count == 2 else {
      throw invocation.refused("Provide a name and a single member peerURL")
    }
    let name = invocation.arguments[0]
    let members = V2Members(try V2Client(invocation), deadline: invocation.deadline)
    do throws(V2Failure) {
      let new = try members.add(invocation.arguments[1])
      invocation.console.print("Added member named \(name) with ID \(new.id) to cluster\n")
      let cluster = try members.list().flatMap { member in
        member.peerURLs.map { "\(member.id == new.id ? name : member.name)=\($0)" }
      }
      invocation.console.print(
        "\nETCD_NAME=\(GoQuote.text(name))\n"
          + "ETCD_INITIAL_CLUSTER=\(GoQuote.text(cluster.joined(separator: ",")))\n"
          + "ETCD_INITIAL_CLUSTER_STATE=\"existing\"\n")
    } catch { throw invocation.refused(error.message) }
  }

  private static func removeV2Member(_ invocation: V2Invocation) throws(CommandFailure) {
    guard invocation.arguments.count == 1 else {
      throw invocation.refused("Provide a single member ID")
    }
    let id = invocation.arguments[0]
    let members = V2Members(try V2Client(invocation), deadline: invocation.deadline)
    let all: [V2Member]
    do throws(V2Failure) { all = try members.list() } catch {
      throw invocation.refused("Error while verifying ID against known members: \(error.message)")
    }
    for member in all where member.name == id {
      invocation.console.printError(
        "Found a member named \(member.name); if this is correct, please use its ID, eg:\n"
          + "\tetcdctl member remove \(member.id)\n"
          + "For more details, read the documentation at https://github.com/etcd-io/etcd/blob/main/"
          + "Documentation/runtime-configuration.md#remove-a-member\n\n")
    }
    guard all.contains(where: { $0.id == id }) else {
      throw invocation.refused("Couldn't find a member in the cluster with an ID of \(id).")
    }
    do throws(V2Failure) { try members.remove(id) } catch {
      invocation.console.printError(
        "Received an error trying to remove member \(id): \(error.message)")
      throw .told()
    }
    invocation.console.print("Removed member \(id) from cluster\n")
  }

  private static func updateV2Member(_ invocation: V2Invocation) throws(CommandFailure) {
    guard invocation.arguments.count == 2 else {
      throw invocation.refused(
        "Provide an ID and a list of comma separated peerURL "
          + "(0xabcd http://example.com,http://example1.com)")
    }
    let id = invocation.arguments[0]
    let urls = invocation.arguments[1].split(separator: ",", omittingEmptySubsequences: false)
    let members = V2Members(try V2Client(invocation), deadline: invocation.deadline)
    do throws(V2Failure) { try members.update(id, urls.map(String.init)) } catch {
      throw invocation.refused(error.message)
    }
    invocation.console.print("Updated member with ID \(id) in cluster\n")
  }
}
