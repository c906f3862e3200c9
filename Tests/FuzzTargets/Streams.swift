import Bytes
import EtcdAPI
import HTTP
import Member

@testable import GRPC
@testable import PeerTransport

extension FuzzTarget {
  /// What comes piece by piece, cut anywhere.
  static let streams: [FuzzTarget] = [
    FuzzTarget("msgapp-stream") { members(.msgAppV2, $0) },
    FuzzTarget("message-stream") { members(.message, $0) },
    FuzzTarget("grpc-frames") { bytes in
      var deframer = MessageDeframer(limit: 1 << 20)
      for piece in pieces(bytes) {
        deframer.feed(piece)
        do { while try deframer.next() != nil {} } catch { return }
      }
    },
    FuzzTarget("websocket") { bytes in
      var decoder = WebSocketDecoder(messageBytesMax: 1 << 20)
      for piece in pieces(bytes) {
        var input = piece
        do { while try decoder.next(&input) != nil {} } catch { return }
      }
    },
  ]

  private static func members(_ kind: StreamKind, _ bytes: Bytes) {
    var decoder = StreamDecoder(kind, local: 1, remote: 2, limit: 1 << 20)
    for piece in pieces(bytes) {
      var input = piece
      do {
        while let message = try decoder.next(&input) {
          _ = MessageCheck.fault(message, local: 1, peer: 2, withDatabase: false)
        }
      } catch { return }
    }
  }
}
