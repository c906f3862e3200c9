import Bytes
import Calls
import EventLoops

/// Limits and timing of a gRPC server. The defaults are etcd's where it has any.
public struct GRPCServerConfiguration: Sendable {
  /// Calls that a connection may have at once; 0 is any number, as in Go.
  public var maxConcurrentStreams: UInt32 = .max
  public var receivedMessageBytesMax = 4_194_304
  public var sentMessageBytesMax = Int(Int32.max)
  public var headerListBytesMax = 65_536
  /// What a client may send ahead of the reader: on one stream, and on a connection.
  public var streamWindowBytes: Int32 = 262_144
  public var connectionWindowBytes: Int32 = 4_194_304
  /// Connections beyond are closed at once.
  public var connectionsMax = Int.max
  /// Until the client's SETTINGS.
  public var handshakeTimeout: Duration = .seconds(10)
  /// Silence after which the server pings, and how long it then waits.
  public var keepaliveInterval: Duration = .seconds(7_200)
  public var keepaliveTimeout: Duration = .seconds(20)
  /// Pings of a client that come faster than this are strikes; the third ends the connection.
  public var keepaliveMinTime: Duration = .seconds(5)
  /// Whether clients may ping while they have no call.
  public var keepaliveWithoutCalls = false
  public var acceptsGzip = true
  /// Hears of every call to a method that exists, with what came along; on the call's loop.
  public var callObserver: (@Sendable (Metadata, _ isUnary: Bool) -> Void)?
  /// Hears of every call to a method that exists when it is over; on the call's loop.
  public var endedCallObserver: (@Sendable (FinishedCall) -> Void)?
  /// Hears of unary calls that took longer than `slowCallTime`; on the call's loop.
  public var slowCallObserver: (@Sendable (FinishedCall) -> Void)?
  public var slowCallTime: Duration = .milliseconds(300)
  public init() {}
}

/// A gRPC server: takes HTTP/2 connections on any loop and serves a router's methods.
public final class GRPCServer: Sendable {
  public let configuration: GRPCServerConfiguration
  let router: CallRouter
  /// `.max` when nobody wants to hear of slow calls.
  let slowCallNanoseconds: UInt64
  /// Whether somebody wants to hear of every call.
  let tellsOfEveryCall: Bool

  private let connections = OpenConnections<GRPCServerConnection>()

  public init(_ router: CallRouter, _ configuration: GRPCServerConfiguration = .init()) {
    self.router = router
    self.configuration = configuration
    tellsOfEveryCall = configuration.endedCallObserver != nil
    slowCallNanoseconds =
      configuration.slowCallObserver == nil ? .max : configuration.slowCallTime.nanoseconds
  }

  /// Open connections.
  public var connectionCount: Int { connections.count }

  /// Serves a channel, on its loop.
  /// - Parameter initial: bytes that protocol detection has read.
  public func accept(_ channel: any ByteChannel, initial: Bytes = Bytes()) {
    channel.loop.preconditionCurrent()
    let connection = GRPCServerConnection(server: self, channel: channel)
    let (isOpen, _) = connections.add(connection) { count, isDraining in
      !isDraining && count < configuration.connectionsMax
    }
    guard isOpen else { return channel.abort() }
    if !initial.isEmpty { connection.channelRead(initial) }
  }

  func closed(_ connection: GRPCServerConnection) {
    connections.remove(ObjectIdentifier(connection))
  }

  /// Lets running calls end: GOAWAY to every client, no new connections or streams. What is still
  /// open after `grace` is aborted. Returns when all connections are closed.
  /// - Parameter status: what streams end with whose client may send for ever, such as watches; without one
  ///   they go on until then.
  public func shutDown(grace: Duration, endingStreams status: GRPCStatus? = nil) async {
    await connections.drain { connection in
      connection.loop.execute { connection.drain(grace: grace, endingStreams: status) }
    }
  }
}
