/// How long the streams to a new peer wait before they are dialled. Each costs a handshake under TLS; who starts can
/// have those first that are needed first.
public struct StreamDelays: Sendable, Equatable {
  public var msgApp: Duration
  public var message: Duration

  /// - Parameters: how long either waits; nothing unless said.
  public init(msgApp: Duration = .zero, message: Duration = .zero) {
    self.msgApp = msgApp
    self.message = message
  }

  subscript(kind: StreamKind) -> Duration {
    switch kind {
    case .msgAppV2: msgApp
    case .message: message
    }
  }
}
