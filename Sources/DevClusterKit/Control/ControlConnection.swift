import Bytes
import EventLoops
import JSON

/// The supervisor's end of one control connection. Confined to its loop.
final class ControlConnection: ByteChannelHandler {
  private static let lineBytesMax = 4096
  private let channel: any ByteChannel
  private let onRequest: (ControlRequest) -> Void
  private let onClose: () -> Void
  private var splitter = LineSplitter(lineBytesMax: ControlConnection.lineBytesMax)

  init(
    _ channel: any ByteChannel, onRequest: @escaping (ControlRequest) -> Void,
    onClose: @escaping () -> Void
  ) {
    self.channel = channel
    self.onRequest = onRequest
    self.onClose = onClose
    channel.handler = self
    channel.start()
  }

  /// Sends one answer. The other side closes.
  func send(_ object: JSONObject) {
    channel.write(Bytes(JSONValue.object(object).encoded().string + "\n"))
  }

  func channelRead(_ bytes: Bytes) {
    var lines: [Bytes] = []
    splitter.add(bytes) { lines.append($0) }
    for line in lines {
      guard let request = ControlRequest(line) else {
        send(["error": "not a request that this devcluster knows", "code": 2])
        continue
      }
      onRequest(request)
    }
  }

  func channelReadEnded() { channel.closeAfterFlush() }
  func channelWritable() {}
  func channelClosed(_ error: ChannelError?) { onClose() }
}
