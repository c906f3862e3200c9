import Calls
import EtcdClient
import GRPC
import Synchronization

/// What became of the connections and requests of one command: what hints are made of once it has failed.
final class PhaseLog: Sendable {
  /// A request that failed, and who made it.
  struct Failure: Sendable {
    let settings: ClientSettings
    let status: GRPCStatus
  }

  /// Where the connection to an endpoint is.
  enum Reached: Sendable, Equatable {
    case connecting
    case ready
    case failed(GRPCConnectFailure.Phase, String)
  }

  private struct State {
    var reached: [String: Reached] = [:]
    /// The last of each list of endpoints, in the order in which they failed first.
    var failures: [Failure] = []
  }
  private let state = Mutex(State())

  /// Something became of the connection to an endpoint. A failure stays until there is a connection.
  func connection(to endpoint: String, _ change: ConnectionChange) {
    state.withLock { state in
      switch change {
      case .connecting:
        if state.reached[endpoint] == nil { state.reached[endpoint] = .connecting }
      case .ready: state.reached[endpoint] = .ready
      case .failed(let phase, let reason): state.reached[endpoint] = .failed(phase, reason)
      case .lost(let reason): state.reached[endpoint] = .failed(.http2, reason)
      }
    }
  }

  /// A request of these settings failed.
  func failed(_ settings: ClientSettings, _ status: GRPCStatus) {
    let failure = Failure(settings: settings, status: status)
    state.withLock { state in
      let known = state.failures.firstIndex { $0.settings.endpoints == settings.endpoints }
      if let known { state.failures[known] = failure } else { state.failures.append(failure) }
    }
  }

  /// Everything that was seen.
  var seen: (failures: [Failure], reached: [String: Reached]) {
    state.withLock { ($0.failures, $0.reached) }
  }
}
