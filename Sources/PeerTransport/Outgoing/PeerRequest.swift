import EtcdAPI
import EventLoops
import GoText
import HTTP

/// Why a request to another member failed.
enum PeerRequestError: Error, CustomStringConvertible {
  case http(HTTPClientError)
  case incompatibleVersion
  case clusterMismatch
  case memberRemoved
  case unsupportedStream
  case localUnknown(peer: MemberID, local: MemberID)
  case precondition(String)
  case status(Int)
  case unexpectedStatus(Int, url: String)
  case decoding(StreamDecodeError)
  case source(SnapshotError)
  case stalled
  case ended

  var description: String {
    switch self {
    case .http(let error): "\(error)"
    case .incompatibleVersion: "incompatible version"
    case .clusterMismatch: "cluster ID mismatch"
    case .memberRemoved: "the member has been permanently removed from the cluster"
    case .unsupportedStream: "unsupported stream type"
    case .localUnknown(let peer, let local):
      "peer \(peer.hex) failed to find local node \(local.hex)"
    case .precondition(let text): "unhandled error \"\(text)\" when precondition failed"
    case .status(let status): "unhandled http status \(status)"
    case .unexpectedStatus(let status, let url):
      "unexpected http status \(HTTPResponseHead.reason(status)) while posting to \"\(url)\""
    case .decoding(let error): "\(error)"
    case .source(let error): "\(error)"
    case .stalled: "i/o timeout"
    case .ended: "EOF"
    }
  }

  /// What the answer to a posted message or snapshot means; `nil`: it was taken.
  ///
  /// A 403 is not always that this member was removed: so answers the process of another member, which was removed itself,
  /// when its peer URL has become somebody else's. Go's members end for any.
  static func post(status: Int, body: String, url: String) -> PeerRequestError? {
    switch status {
    case 204: nil
    case 403 where body.holds("cannot process message from removed member"): .memberRemoved
    case 412: precondition(body: body)
    default: .unexpectedStatus(status, url: url)
    }
  }

  /// What a 412 means; its body is one of two texts.
  static func precondition(body: String) -> PeerRequestError {
    var text = Substring(body)
    if text.hasSuffix("\n") { text = text.dropLast() }
    switch text {
    case "incompatible version": return .incompatibleVersion
    case "cluster ID mismatch": return .clusterMismatch
    default: return .precondition(body)
    }
  }
}

extension PeerContext {
  /// The fields every request carries.
  func headers(to peer: MemberID? = nil, contentType: String? = nil) -> HTTPHeaders {
    var headers = HTTPHeaders()
    if let contentType { headers.add("Content-Type", contentType) }
    headers.add("X-Server-From", localID.hex)
    headers.add("X-Server-Version", configuration.serverVersion)
    headers.add("X-Min-Cluster-Version", configuration.minClusterVersion)
    headers.add(PeerField.clusterID, clusterText)
    if let peer { headers.add("X-Raft-To", peer.hex) }
    if !configuration.peerURLs.isEmpty {
      headers.add("X-PeerURLs", configuration.peerURLs.joined(separator: ","))
    }
    return headers
  }

  /// As `PeerRequestError.post`; logs as etcd does.
  func checkPost(
    _ head: HTTPResponseHead, body: String, url: String, to peer: MemberID
  ) -> PeerRequestError? {
    let error = PeerRequestError.post(status: head.status, body: body, url: url)
    switch error {
    case .incompatibleVersion?:
      logger.error("request sent was ignored by peer", [.id("remote-peer-id", peer)])
    case .clusterMismatch?:
      logger.error(
        "request sent was ignored due to cluster ID mismatch",
        [
          .id("remote-peer-id", peer),
          LogField(
            "remote-peer-cluster-id", .string(head.headers[PeerField.clusterID] ?? "")),
          LogField("local-member-cluster-id", .string(clusterText)),
        ])
    default: break
    }
    return error
  }
}
