import EventLoops

/// A call that is over, for whoever records calls.
public struct EndedCall {
  public let path: String
  public let metadata: Metadata
  public let remoteAddress: SocketAddress?
  public let status: GRPCStatus
  /// From its head to its status.
  public let time: Duration
  public let isUnary: Bool
  /// Bytes of the messages of a unary call; 0 where there was none.
  public let requestBytes: Int
  public let responseBytes: Int

  public init(
    path: String, metadata: Metadata, remoteAddress: SocketAddress?, status: GRPCStatus,
    time: Duration, isUnary: Bool, requestBytes: Int, responseBytes: Int
  ) {
    self.path = path
    self.metadata = metadata
    self.remoteAddress = remoteAddress
    self.status = status
    self.time = time
    self.isUnary = isUnary
    self.requestBytes = requestBytes
    self.responseBytes = responseBytes
  }
}
