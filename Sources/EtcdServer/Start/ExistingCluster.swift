import Bytes
import EtcdAPI
import EtcdConfig
import EventLoops
import HTTP
import JSON
import MemberStorage
import Membership
import PeerTransport
import Protobuf

/// A running cluster as one of its members describes it.
struct ExistingCluster: Sendable {
  let clusterID: UInt64
  let members: [MemberInfo]

  private static let bodyBytesMax = 1 << 20

  /// How members are asked, and on which loop.
  struct Dialler: Sendable {
    let loop: EventLoop
    let dial: HTTPClient.Dial
  }

  /// Asks peers one after the other; the first answer counts. Blocks the caller, not the loop.
  /// - Throws: `StorageError` in etcd's words when none answers.
  static func fetch(
    from urls: [String], _ dialler: Dialler, _ logger: Logger
  ) throws(StorageError) -> ExistingCluster {
    for url in urls {
      guard let peer = PeerURL(url) else { continue }
      do {
        let (head, body) = try get(peer, "/members", dialler)
        guard let id = UInt64(head.headers[PeerField.clusterID] ?? "", radix: 16) else {
          logger.warn("failed to parse cluster ID", [LogField("address", .string(url))])
          continue
        }
        let members = try decode(body)
        guard !members.isEmpty else {
          throw StorageError("failed to get raft cluster member(s) from the given URLs")
        }
        return ExistingCluster(clusterID: id, members: members)
      } catch let error as StorageError {
        throw error
      } catch {
        logger.warn(
          "failed to get cluster response",
          [LogField("address", .string(url + "/members")), LogField("error", .string("\(error)"))])
      }
    }
    throw StorageError(
      "cannot fetch cluster info from peer urls: could not retrieve cluster information from the "
        + "given URLs")
  }

  private static func get(
    _ peer: PeerURL, _ target: String, _ dialler: Dialler
  ) throws -> (HTTPResponseHead, Bytes) {
    let answer = Parcel<Result<(head: HTTPResponseHead, body: Bytes), HTTPClientError>>()
    dialler.loop.execute {
      let client = HTTPClient(loop: dialler.loop, dial: dialler.dial)
      var request = HTTPClientRequest("GET", peer.origin, target)
      request.headTimeout = .seconds(10)
      client.send(request, limit: bodyBytesMax) { result in
        client.close()
        answer.give(result)
      }
    }
    let (head, body) = try answer.wait().get()
    guard head.status == 200 else { throw StorageError("status \(head.status)") }
    return (head, body)
  }

  /// Asks the other members for the cluster version; one that does not answer is left out.
  /// - Throws: `StorageError` in etcd's words when none answers, or the cluster is too old or too new
  ///   for this server.
  /// - Source: etcd `isCompatibleWithCluster`.
  static func checkCompatible(
    _ members: [MemberInfo], _ dialler: Dialler, _ logger: Logger
  ) throws(StorageError) {
    let refusal = StorageError("incompatible with current running cluster")
    guard let own = SemanticVersion(ServerVersion.etcd)?.cluster else { throw refusal }
    // A cluster on its way down takes members of the version it goes to alone.
    let isDowngrading = isDowngradeEnabled(members, dialler, logger)
    let newest = (isDowngrading ? own.nextMinor : own).description
    let oldest = isDowngrading ? newest : ServerVersion.minimumCluster
    var isHeard = false
    for member in members {
      guard let version = clusterVersion(of: member, dialler, logger) else { continue }
      if ServerVersion.isOlder(version, than: oldest)
        || ServerVersion.isOlder(newest, than: version)
      {
        let isLow = ServerVersion.isOlder(version, than: oldest)
        logger.warn(
          "cluster version of remote member is not compatible; too \(isLow ? "low" : "high")",
          [
            LogField("remote-member-id", .string(member.hexID)),
            LogField("remote-member-cluster-version", .string(version)),
            LogField("minimum-cluster-version-supported", .string(oldest)),
            LogField("maximum-cluster-version-supported", .string(newest)),
          ])
        throw refusal
      }
      isHeard = true
    }
    if !isHeard { throw refusal }
  }

  /// What the first member that answers says; no when none does.
  /// - Source: etcd `getDowngradeEnabledFromRemotePeers`.
  private static func isDowngradeEnabled(
    _ members: [MemberInfo], _ dialler: Dialler, _ logger: Logger
  ) -> Bool {
    for member in members {
      for url in member.peerURLs {
        guard let peer = PeerURL(url) else { continue }
        do {
          let (_, body) = try get(peer, HashEndpoints.downgradePath, dialler)
          switch body.string {
          case "true": return true
          case "false": return false
          case let other: throw StorageError("neither true nor false: \(LogText.shortened(other))")
          }
        } catch {
          logger.warn(
            "failed to get downgrade enabled status",
            [
              LogField("remote-member-id", .string(member.hexID)),
              LogField("address", .string(url + HashEndpoints.downgradePath)),
              LogField("error", .string("\(error)")),
            ])
        }
      }
    }
    return false
  }

  /// `nil` when the member does not answer or its cluster has not decided yet.
  private static func clusterVersion(
    of member: MemberInfo, _ dialler: Dialler, _ logger: Logger
  ) -> String? {
    for url in member.peerURLs {
      guard let peer = PeerURL(url) else { continue }
      do {
        let (_, body) = try get(peer, "/version", dialler)
        let version = try JSONValue.parse(body)["etcdcluster"]?.string ?? ""
        if ServerVersion.clusterVersion(of: version) != nil { return version }
        logger.warn(
          "failed to parse cluster version of remote member",
          [
            LogField("remote-member-id", .string(member.hexID)),
            LogField("remote-member-cluster-version", .string(version)),
          ])
      } catch {
        logger.warn(
          "failed to reach the peer URL",
          [LogField("address", .string(url + "/version")), LogField("error", .string("\(error)"))])
      }
    }
    return nil
  }

  static func decode(_ body: Bytes) throws -> [MemberInfo] {
    guard let list = try JSONValue.parse(body).array else {
      throw MembershipError.malformed("members are not a list")
    }
    return try list.map { try MemberInfo(json: $0.encoded()) }
  }

  /// Gives the configured members the ids that the cluster gave them.
  /// - Parameter configured: peer URLs by name, as in `--initial-cluster`.
  /// - Throws: `StorageError` when the two lists do not describe the same members.
  func matched(_ configured: [String: [String]]) throws(StorageError) -> [MemberInfo] {
    guard configured.count == members.count else {
      throw StorageError("error validating peerURLs: member count is unequal")
    }
    var left = configured
    var matched: [MemberInfo] = []
    for member in members {
      let urls = member.peerURLs.sorted()
      guard let name = left.first(where: { $0.value.sorted() == urls })?.key else {
        throw StorageError(
          "error validating peerURLs: PeerURLs: no match found for existing member "
            + "(\(member.hexID), [\(urls.joined(separator: " "))])")
      }
      left[name] = nil
      var info = member
      info.name = name
      matched.append(info)
    }
    return matched
  }
}
