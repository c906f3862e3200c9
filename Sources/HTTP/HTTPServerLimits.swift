/// Limits and deadlines of a server connection.
public struct HTTPServerLimits: Sendable {
  public var head = HTTPHeadLimits()
  /// From the first moment a request may arrive (connection) or its first byte (kept alive) to the
  /// end of its head.
  public var headTimeout: Duration = .seconds(10)
  /// Between requests of a kept-alive connection.
  public var idleTimeout: Duration = .seconds(180)
  /// Longest silence inside a request body that is being read.
  public var bodyTimeout: Duration = .seconds(60)
  /// Bytes of an unread body that are skipped to keep the connection; beyond, it is closed.
  public var discardedBodyBytesMax = 262_144
  /// Requests sent one behind the other that are begun before other connections have their turn.
  public var requestsPerTurn = 4
  public init() {}
}
