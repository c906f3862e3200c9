import Discovery
import EventLoops

/// The discovery service of a cluster whose members find each other by one: in the supervisor, for as long as it
/// runs. Members with data do not ask it, so it keeps nothing.
final class Gathering: Sendable {
  private let memory = RegistryMemory()
  private let service: DiscoveryService

  /// The token in the service.
  static let token: RegistryToken = {
    guard let token = RegistryToken(ClusterPlan.token) else {
      preconditionFailure("the cluster's token is a name")
    }
    return token
  }()

  /// Begins to serve.
  /// - Throws: `DevClusterError` when the port cannot be had.
  init(_ plan: ClusterPlan) throws(DevClusterError) {
    var options = DiscoveryService.Options()
    options.port = plan.ports.discovery
    service = DiscoveryService(options, memory: memory, logger: .disabled)
    memory.make(Self.token, size: plan.founders.count)
    do throws(ChannelError) { try service.start() } catch {
      throw DevClusterError(
        "cannot serve discovery on port \(options.port): \(error) (--ports auto finds free ones)")
    }
  }

  /// All members are to come again.
  func beginAnew(size: Int) { memory.make(Self.token, size: size) }

  /// Ends what waits. Once.
  func end() {
    let service = service
    Task { await service.stop() }
  }
}
