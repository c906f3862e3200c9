import EtcdConfig
import EventLoops
import HTTP
import TLS

/// How the connections of a v2 proxy are secured.
///
/// - Source: etcd `etcdmain.startProxy`.
package struct ProxyPolicies {
  /// Listeners at secure URLs.
  package let clients: ChannelPolicy
  /// How members' client URLs are reached: with what was given for clients, or else for peers.
  package let dialMembers: HTTPClient.Dial
  /// How members' peer URLs are reached.
  package let dialPeers: HTTPClient.Dial
  let materials: [(use: String, material: TLSMaterial)]

  /// Reads, or makes, the certificates that the configuration names.
  /// - Parameter config: with the proxy's own directory.
  /// - Throws: `StartError` in etcd's words.
  package init(_ config: ServerConfig, _ logger: Logger) throws(StartError) {
    let builder = PolicyBuilder(config, logger)
    let listening = try builder.clients()
    clients =
      listening.map { builder.listening($0, "rejected connection on client endpoint", .none) }
      ?? .plain
    let members = config.clientTLS.isEmpty ? config.peerTLS : config.clientTLS
    let peers = try builder.completed(config.peerTLS, "peer", config.listenPeerURLs)
    let member = try Self.dialling(
      builder.settings(members), takesAny: config.clientTLS.isAutomatic)
    let peer = try Self.dialling(builder.settings(peers), takesAny: config.peerTLS.isAutomatic)
    (dialMembers, dialPeers) = (member.dial, peer.dial)
    materials = [("client", listening), ("member", member.material), ("peer", peer.material)]
      .compactMap { use, material in material.map { (use, $0) } }
  }

  private static func dialling(
    _ settings: TLSSettings, takesAny: Bool
  ) throws(StartError) -> (dial: HTTPClient.Dial, material: TLSMaterial?) {
    var settings = settings
    settings.insecureSkipVerify = takesAny
    guard !settings.isEmpty else {
      return (HTTPClient.dial(.layered(UnconfiguredTLS(settings))), nil)
    }
    do throws(TLSFailure) {
      let material = try TLSMaterial(settings)
      return (HTTPClient.dial(.layered(TLSLayer(material))), material)
    } catch { throw StartError("\(error)") }
  }

  /// Reads changed files again, as a member does; `nil` when there are none.
  package func keeper(_ logger: Logger, _ registry: MetricsRegistry) -> CertificateKeeper? {
    CertificateKeeper(materials, logger, registry)
  }
}
