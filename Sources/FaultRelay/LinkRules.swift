/// Somebody whose bytes pass a relay.
public enum Party: Sendable, Hashable, CustomStringConvertible {
  case member(String)
  /// Whoever is no member.
  case clients

  public var description: String {
    switch self {
    case .member(let name): name
    case .clients: "clients"
    }
  }
}

/// A direction between two: the way of bytes, whoever dialled.
public struct Link: Sendable, Hashable, CustomStringConvertible {
  public var from: Party
  public var to: Party

  public init(from: Party, to: Party) {
    self.from = from
    self.to = to
  }

  public var reversed: Link { Link(from: to, to: from) }
  public var description: String { "\(from)->\(to)" }
}

/// What becomes of bytes on a link. Pure.
public struct LinkRule: Sendable, Equatable {
  /// How a link is cut.
  public enum Cut: String, Sendable, CaseIterable {
    /// Bytes wait, as behind a cable that was pulled: at the end of the cut they arrive late.
    case hold
    /// Bytes are lost; at the end of the cut connections that lost some are closed, because what is left of
    /// them is torn.
    case swallow
    /// Connections break (RST), and new ones break at once, whoever dialled: as behind a firewall that answers
    /// packets of one direction with RST. A connection needs both directions, for its acknowledgements too.
    case refuse
  }

  public var cut: Cut?
  /// Nanoseconds that each byte is on its way, and by how much that varies to either side.
  public var delay: UInt64 = 0
  public var jitter: UInt64 = 0
  /// Bytes a second; `nil` for no limit.
  public var rate: UInt64?
  /// Share of segments that are lost, 0 to 1: TCP sends them again, later and later, and gives up in the end.
  public var loss = 0.0

  /// - Parameter cut: how the link is cut; `nil` for one that is clear.
  public init(cut: Cut? = nil) { self.cut = cut }

  /// Whether bytes pass as they come.
  public var isClear: Bool { self == LinkRule() }
}

/// The rules of all links; a link without one is clear.
public typealias LinkRules = [Link: LinkRule]
