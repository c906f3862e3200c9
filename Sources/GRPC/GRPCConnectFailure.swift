import Calls
import EventLoops
import GoText
import Protobuf

/// An attempt to connect that failed, and how far it had come.
public struct GRPCConnectFailure: Error, Sendable, Equatable {
  /// What was under way, in this order.
  public enum Phase: Sendable, Equatable {
    /// The question for the addresses of a name.
    case resolve
    /// The connection of the socket.
    case connect
    /// The handshake; in TLS 1.3 a server refuses a client's certificate behind it.
    case tls
    /// The server's SETTINGS.
    case http2
  }

  public let phase: Phase
  /// Unavailable, in grpc-go's words.
  public let status: GRPCStatus

  public init(_ phase: Phase, _ status: GRPCStatus) {
    self.phase = phase
    self.status = status
  }

  /// There is no channel.
  init(dialling error: ChannelError) {
    phase =
      switch error {
      case .resolve: .resolve
      case .layer: .tls
      // As Go calls it, too.
      case .timedOut(let operation) where operation.holds("TLS handshake"): .tls
      default: .connect
      }
    status = GRPCStatus(
      .unavailable, "connection error: desc = \"transport: \(Self.reason(error))\"")
  }

  /// The channel broke before the server's SETTINGS.
  init(starting status: GRPCStatus, after loss: ChannelError?) {
    if case .layer? = loss { phase = .tls } else { phase = .http2 }
    self.status = GRPCStatus(.unavailable, "connection error: desc = \"\(status.message)\"")
  }

  /// Go's text: it names the system call.
  private static func reason(_ error: ChannelError) -> String {
    switch error {
    case .system(let operation, let cause):
      "Error while dialing: \(operation): connect: \(cause)"
    case .layer(let text): "authentication handshake failed: \(text)"
    default: "Error while dialing: \(error)"
    }
  }
}
