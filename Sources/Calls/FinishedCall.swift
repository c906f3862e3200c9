import EventLoops

/// A unary call that is over, for whoever looks for slow ones.
public struct FinishedCall {
  public let path: String
  public let remoteAddress: SocketAddress?
  /// From its head to its answer.
  public let time: Duration
  /// Bytes of the messages; 0 where there was none.
  public let requestBytes: Int
  public let responseBytes: Int

  public init(
    path: String, remoteAddress: SocketAddress?, time: Duration, requestBytes: Int,
    responseBytes: Int
  ) {
    self.path = path
    self.remoteAddress = remoteAddress
    self.time = time
    self.requestBytes = requestBytes
    self.responseBytes = responseBytes
  }
}
