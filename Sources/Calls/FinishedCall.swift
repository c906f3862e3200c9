import EventLoops

/// A call that is over, for whoever looks for slow ones or records calls.
public struct FinishedCall {
  public let path: String
  public let isUnary: Bool
  public let metadata: Metadata
  public let remoteAddress: SocketAddress?
  public let status: GRPCStatus
  /// From its head to its status.
  public let time: Duration
  /// Bytes of the messages of a unary call; 0 where there was none.
  public let requestBytes: Int
  public let responseBytes: Int

  public init(
    path: String, isUnary: Bool, metadata: Metadata, remoteAddress: SocketAddress?,
    status: GRPCStatus, time: Duration, requestBytes: Int, responseBytes: Int
  ) {
    self.path = path
    self.isUnary = isUnary
    self.metadata = metadata
    self.remoteAddress = remoteAddress
    self.status = status
    self.time = time
    self.requestBytes = requestBytes
    self.responseBytes = responseBytes
  }
}
