import DNS

extension GatewayStart {
  /// Asks the DNS servers of the system.
  package static let dns: ServerDiscovery = { (domain, service) throws(DiscoveryFailure) in
    try discover(domain, service) { name throws(DNSFailure) in try Resolver().services(of: name) }
  }

  /// - Parameter lookup: asks for the records of one name.
  static func discover(
    _ domain: String, _ service: String, _ lookup: ServiceLookup
  ) throws(DiscoveryFailure) -> [DiscoveredServer] {
    do throws(ClientLookupFailure) {
      return try ClientEndpoints(domain: domain, suffix: service, lookup: lookup).endpoints.map {
        DiscoveredServer(
          url: $0.url,
          remote: Remote(
            host: $0.record.target, port: $0.record.port, priority: $0.record.priority,
            weight: $0.record.weight))
      }
    } catch { throw DiscoveryFailure(error.description) }
  }
}
