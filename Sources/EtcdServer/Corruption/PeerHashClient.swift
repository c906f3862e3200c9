import Bytes
import EtcdAPI
import EtcdConfig
import EventLoops
import HTTP
import Membership
import PeerTransport

/// Asks the other members for their hashes. Confined to its loop.
///
/// - Source: etcd `getPeerHashKVs`; members are asked side by side here.
final class PeerHashClient: @unchecked Sendable {
  // @unchecked: confined to `loop`, asserted in `ask`.

  let loop: EventLoop
  private let client: HTTPClient
  private let localID: MemberID
  private let clusterID: UInt64
  /// For one answer; a hash takes a look at every row.
  private let timeout: Duration
  private let logger: Logger

  init(
    loop: EventLoop, dial: @escaping HTTPClient.Dial, localID: MemberID, clusterID: UInt64,
    timeout: Duration, logger: Logger
  ) {
    self.loop = loop
    self.localID = localID
    self.clusterID = clusterID
    self.timeout = timeout
    self.logger = logger
    client = HTTPClient(loop: loop, dial: dial)
  }

  func close() { client.close() }

  /// Asks every member but this one; `done` gets what they said in the order of the members.
  func ask(
    _ members: [MemberInfo], at revision: Int64, _ done: @escaping ([PeerHash]) -> Void
  ) {
    loop.preconditionCurrent()
    let others = members.filter { $0.id != localID && !$0.peerURLs.isEmpty }
    guard !others.isEmpty else { return done([]) }
    var answers: [MemberID: PeerHash] = [:]
    for other in others {
      ask(other, other.peerURLs[...], at: revision) { answer in
        answers[other.id] = answer
        if answers.count == others.count { done(others.compactMap { answers[$0.id] }) }
      }
    }
  }

  /// Asks one URL of a member after the other until one answers with a hash.
  private func ask(
    _ member: MemberInfo, _ urls: ArraySlice<String>, at revision: Int64,
    _ done: @escaping (PeerHash) -> Void
  ) {
    guard let url = urls.first else { preconditionFailure("a member without a URL is not asked") }
    fetch(url, at: revision) { [self] result in
      if case .failure(let error) = result {
        logger.warn(
          "failed hash kv request",
          [
            LogField("local-member-id", .string(localID.hex)),
            LogField("requested-revision", .int(Int(revision))),
            LogField("remote-peer-endpoint", .string(url)), LogField("error", .error(error)),
          ])
        if urls.count > 1 { return ask(member, urls.dropFirst(), at: revision, done) }
      }
      done(PeerHash(id: member.id, endpoints: member.peerURLs, result: result))
    }
  }

  private func fetch(
    _ url: String, at revision: Int64,
    _ done: @escaping (Result<MemberHash, PeerHash.Failure>) -> Void
  ) {
    guard let peer = PeerURL(url) else { return done(.failure(.other("malformed URL \(url)"))) }
    var request = HTTPClientRequest(
      "GET", peer.origin, HashKVMessage.path,
      headers: [
        "Content-Type": "application/json",
        PeerField.clusterID: String(clusterID, radix: 16),
      ],
      body: .bytes(HashKVMessage.request(revision: revision)))
    request.connectTimeout = timeout
    request.headTimeout = timeout
    request.idleTimeout = timeout
    client.send(request, limit: HashKVMessage.bytesMax) { result in
      switch result {
      case .failure(let error): done(.failure(.other("\(error)")))
      case .success(let (head, body)):
        done(
          PeerHash.result(
            status: head.status, body: body.string,
            hash: HashKVMessage.hash(in: body, at: revision)))
      }
    }
  }
}
