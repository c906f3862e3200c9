import COpenSSL
import Foundation

/// TLS on a blocking socket, for a client that trusts whoever answers: what the server does is measured.
final class BlockingTLS {
  private let context: OpaquePointer
  private let session: OpaquePointer

  /// Shakes hands, with HTTP/2 as the protocol.
  /// - Throws: `BenchError` when the server does not.
  init(_ descriptor: Int32) throws(BenchError) {
    guard let context = SSL_CTX_new(TLS_client_method()) else { throw BenchError("no TLS context") }
    guard let session = SSL_new(context) else {
      SSL_CTX_free(context)
      throw BenchError("no TLS session")
    }
    (self.context, self.session) = (context, session)
    let protocols: [UInt8] = [2] + "h2".utf8
    SSL_set_alpn_protos(session, protocols, UInt32(protocols.count))
    guard SSL_set_fd(session, descriptor) == 1, SSL_connect(session) == 1 else {
      throw BenchError("the TLS handshake failed")
    }
  }

  deinit {
    SSL_free(session)
    SSL_CTX_free(context)
  }

  /// As `recv`.
  func read(into buffer: UnsafeMutableRawBufferPointer) -> Int {
    Int(SSL_read(session, buffer.baseAddress, Int32(clamping: buffer.count)))
  }

  /// As `send`.
  func write(_ memory: UnsafeRawBufferPointer) -> Int {
    Int(SSL_write(session, memory.baseAddress, Int32(clamping: memory.count)))
  }
}
