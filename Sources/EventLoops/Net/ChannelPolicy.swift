/// How connections are secured. Nothing listens or dials without saying so.
public enum ChannelPolicy: Sendable {
  /// The socket as it is.
  case plain
  /// A layer over the socket, such as TLS.
  case layered(any ChannelLayer)
}

/// What puts a layer over sockets. Everything is called on the channel's loop.
public protocol ChannelLayer: Sendable {
  /// Wraps an accepted channel.
  /// - Parameter ready: called with a channel that is not started yet, once the other side has proved what it
  ///   has to; never when it has not: the layer closes the channel and says why in its own way.
  func accept(_ channel: any ByteChannel, _ ready: @escaping (any ByteChannel) -> Void)

  /// Wraps a channel that was dialled.
  /// - Parameters:
  ///   - host: the name that the other side must prove to be, unless the layer has another.
  ///   - timeout: for all that comes before the first byte.
  ///   - done: called once, with a channel that is not started yet.
  func dial(
    over channel: any ByteChannel, host: String, timeout: Duration,
    _ done: @escaping (Result<any ByteChannel, ChannelError>) -> Void)
}

extension ChannelPolicy {
  /// Hands on an accepted channel, once it is as secure as it has to be.
  func accept(_ channel: any ByteChannel, _ ready: @escaping (any ByteChannel) -> Void) {
    switch self {
    case .plain: ready(channel)
    case .layered(let layer): layer.accept(channel, ready)
    }
  }
}
