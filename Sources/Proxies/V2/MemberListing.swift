import Bytes
import EventLoops
import HTTP
import JSON
import Membership
import PeerTransport

/// Asks members, by their peer URLs, who the members are. Confined to its loop.
///
/// - Source: etcd `etcdserver.GetClusterFromRemotePeers`.
struct MemberListing {
  /// Members that somebody listed.
  struct Answer: Equatable {
    let peerURLs: [String]
    let clientURLs: [String]
  }

  /// Why nobody listed any, in etcd's words.
  struct Failure: Error, Equatable, CustomStringConvertible {
    let description: String
  }

  private let client: HTTPClient
  private let dialTimeout: Duration
  private let logger: Logger

  /// For an answer.
  private static let timeout = Duration.seconds(10)
  private static let bodyBytesMax = 1 << 20

  init(_ client: HTTPClient, dialTimeout: Duration, _ logger: Logger) {
    self.client = client
    self.dialTimeout = dialTimeout
    self.logger = logger
  }

  /// Asks one after the other; the first answer counts.
  func ask(_ urls: [String], _ done: @escaping (Result<Answer, Failure>) -> Void) {
    guard let url = urls.first else {
      return done(
        .failure(
          Failure(
            description: "could not retrieve cluster information from the given URLs")))
    }
    let rest = Array(urls.dropFirst())
    guard let peer = PeerURL(url) else { return ask(rest, done) }
    var request = HTTPClientRequest("GET", peer.origin, "/members")
    request.connectTimeout = dialTimeout
    request.headTimeout = Self.timeout
    request.idleTimeout = Self.timeout
    client.send(request, limit: Self.bodyBytesMax) { result in
      do {
        let (head, body) = try result.get()
        guard head.status == 200 else { throw Failure(description: "status \(head.status)") }
        done(Self.read(head, body))
      } catch {
        logger.warn(
          "failed to get cluster response",
          [
            LogField("address", .string(url + "/members")), LogField("error", .string("\(error)")),
          ])
        ask(rest, done)
      }
    }
  }

  private static func read(_ head: HTTPResponseHead, _ body: Bytes) -> Result<Answer, Failure> {
    do {
      guard UInt64(head.headers[PeerField.clusterID] ?? "", radix: 16) != nil else {
        throw Failure(description: "the answer has no cluster ID")
      }
      guard let list = try JSONValue.parse(body).array else {
        throw Failure(description: "members are not a list")
      }
      let members = try list.map { try MemberInfo(json: $0.encoded()) }
      guard !members.isEmpty else {
        throw Failure(
          description: "failed to get raft cluster member(s) from the given URLs")
      }
      return .success(
        Answer(
          peerURLs: members.flatMap(\.peerURLs).sorted(),
          clientURLs: members.flatMap(\.clientURLs).sorted()))
    } catch { return .failure(error as? Failure ?? Failure(description: "\(error)")) }
  }
}
