import EventLoops
import HTTP

/// How the connections of a member are secured: one value that is needed to open any listener and to dial any
/// peer.
struct ServerPolicies: Sendable {
  /// Listeners for clients and metrics at secure URLs.
  let clients: ChannelPolicy
  /// Listeners for peers at secure URLs.
  let peers: ChannelPolicy
  /// How peers are reached.
  let dial: HTTPClient.Dial

  init(clients: ChannelPolicy, peers: ChannelPolicy, dialledPeers: ChannelPolicy) {
    self.clients = clients
    self.peers = peers
    dial = HTTPClient.dial(dialledPeers)
  }

  /// No secure URL works.
  static let plain = ServerPolicies(clients: .plain, peers: .plain, dialledPeers: .plain)
}
