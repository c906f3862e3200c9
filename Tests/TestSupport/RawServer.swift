import Glibc
import Synchronization

/// A TCP server on loopback that answers what looks like an HTTP request with whatever bytes a test likes, one
/// connection at a time.
public final class RawServer: Sendable {
  public let port: Int
  private let socket: Int32
  private let requests = Mutex<[String]>([])

  /// Head and body of what was asked, in order.
  public var asked: [String] { requests.withLock { $0 } }

  /// - Parameter answer: the bytes for a request; `nil`: the connection stays open without any.
  public init(_ answer: @escaping @Sendable (String) -> [UInt8]?) {
    socket = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let handle = socket
    withUnsafeMutablePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { plain in
        precondition(bind(handle, plain, length) == 0)
        precondition(getsockname(handle, plain, &length) == 0)
      }
    }
    listen(handle, 8)
    port = Int(UInt16(bigEndian: address.sin_port))
    var thread = pthread_t()
    let box = Unmanaged.passRetained(Body { [self] in serve(answer) }).toOpaque()
    pthread_create(
      &thread, nil,
      { context in
        Unmanaged<Body>.fromOpaque(context!).takeRetainedValue().run()
        return nil
      }, box)
    pthread_detach(thread)
  }

  /// Ends the thread.
  public func close() { shutdown(socket, Int32(SHUT_RDWR)) }

  private final class Body: Sendable {
    let run: @Sendable () -> Void
    init(_ run: @escaping @Sendable () -> Void) { self.run = run }
  }

  private func serve(_ answer: (String) -> [UInt8]?) {
    var open: [Int32] = []
    while true {
      let connection = accept(socket, nil, nil)
      guard connection >= 0 else { break }
      guard let request = Self.read(connection), let bytes = answer(request) else {
        open.append(connection)
        continue
      }
      requests.withLock { $0.append(request) }
      var sent = 0
      while sent < bytes.count {
        let count = bytes.withUnsafeBytes {
          send(
            connection, $0.baseAddress! + sent, bytes.count - sent, Int32(MSG_NOSIGNAL))
        }
        guard count > 0 else { break }
        sent += count
      }
      Glibc.close(connection)
    }
    for connection in open { Glibc.close(connection) }
    Glibc.close(socket)
  }

  /// A head, and the body that it announces.
  private static func read(_ connection: Int32) -> String? {
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 65_536)
    while true {
      let count = recv(connection, &buffer, buffer.count, 0)
      guard count > 0 else { return nil }
      bytes += buffer[..<count]
      let text = String(decoding: bytes, as: UTF8.self)
      guard let end = text.firstRange(of: "\r\n\r\n") else { continue }
      let length =
        text.lowercased().split(separator: "\r\n")
        .first { $0.hasPrefix("content-length:") }
        .flatMap { Int($0.dropFirst(15).drop { $0 == " " }) } ?? 0
      if text[end.upperBound...].utf8.count >= length { return text }
    }
  }
}
