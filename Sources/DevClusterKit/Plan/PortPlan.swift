/// Which ports a cluster takes. Pure.
///
/// None of them but those that were promised lies where the system takes ports for outgoing connections: there
/// any connection of any program, even one in TIME_WAIT, may hold a port of ours.
public enum PortPlan: Sendable, Equatable {
  /// m1 12379 12380 (12378 for discovery), m2 22379 22380, m3 32379 32380, then 12389 12390, 22389 22390, 12399 …
  case standard
  /// A block from this port on.
  case base(Int)
  /// A block that was free when the cluster was made: its first port.
  case found(Int)

  /// Ports of a block: two public ones a member, then two behind the relay, and one to find members by.
  public static let blockSize = 4 * ClusterPlan.membersMax + 1
  /// Where blocks are looked for: below what Linux and macOS take for outgoing connections.
  public static let searchRange = 10_000...32_700
  /// What Linux takes for outgoing connections unless it is told otherwise.
  public static let ephemeralByDefault = 32_768...60_999

  /// First port of the block; `nil` for the standard ports.
  var base: Int? {
    switch self {
    case .standard: nil
    case .base(let port), .found(let port): port
    }
  }

  /// Where the supervisor serves discovery, for a cluster with that.
  var discovery: Int { base.map { $0 + 4 * ClusterPlan.membersMax } ?? 12_378 }

  /// Ports of member `index`, counted from 1. What the relay hides stands apart, so that public ports are one
  /// row.
  func ports(_ index: Int) -> MemberPorts {
    if let base {
      let own = base + 2 * (index - 1)
      let hidden = own + 2 * ClusterPlan.membersMax
      return MemberPorts(client: own, peer: own + 1, innerClient: hidden, innerPeer: hidden + 1)
    }
    let client: Int
    if index <= 3 {
      client = index * 10_000 + 2379
    } else {
      client = ((index - 4) % 2 + 1) * 10_000 + 2389 + 10 * ((index - 4) / 2)
    }
    return MemberPorts(
      client: client, peer: client + 1, innerClient: client + 2, innerPeer: client + 3)
  }
}

/// The ports of one member on 127.0.0.1.
public struct MemberPorts: Sendable, Equatable {
  /// Where clients and peers go.
  public var client: Int
  public var peer: Int
  /// Where the member itself listens when a relay stands before it.
  public var innerClient: Int
  public var innerPeer: Int

  var all: [Int] { [client, peer, innerClient, innerPeer] }
}
