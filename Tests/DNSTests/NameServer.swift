import Glibc
import Synchronization

/// A DNS server on loopback whose answers a test makes from the questions, byte by byte.
final class NameServer: Sendable {
  /// A question's bytes, whether it came over TCP, and what to send: nothing, one or several messages.
  typealias Answer = @Sendable ([UInt8], _ isTCP: Bool) -> [[UInt8]]

  let address: String
  private let udp: Int32
  private let tcp: Int32
  private let asked = Atomic(0)
  var questions: Int { asked.load(ordering: .relaxed) }

  init(_ answer: @escaping Answer) {
    let (udp, tcp, port) = Self.pair()
    listen(tcp, 8)
    (self.udp, self.tcp) = (udp, tcp)
    address = "127.0.0.1:\(port)"
    Self.thread { [self] in serveUDP(answer) }
    Self.thread { [self] in serveTCP(answer) }
  }

  /// Ends both threads.
  func close() {
    shutdown(udp, Int32(SHUT_RDWR))
    shutdown(tcp, Int32(SHUT_RDWR))
  }

  /// Sockets of both kinds at one port, which the system chose for the first.
  private static func pair() -> (udp: Int32, tcp: Int32, port: UInt16) {
    while true {
      let (udp, port) = bound(SOCK_DGRAM.rawValue, 0)!
      if let (tcp, _) = bound(SOCK_STREAM.rawValue, port) { return (udp, tcp, port) }
      Glibc.close(udp)
    }
  }

  private static func bound(_ kind: UInt32, _ port: UInt16) -> (socket: Int32, port: UInt16)? {
    let handle = socket(AF_INET, Int32(kind), 0)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let isBound = withUnsafeMutablePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { plain in
        bind(handle, plain, length) == 0 && getsockname(handle, plain, &length) == 0
      }
    }
    guard isBound else {
      Glibc.close(handle)
      return nil
    }
    return (handle, UInt16(bigEndian: address.sin_port))
  }

  private static func thread(_ body: @escaping @Sendable () -> Void) {
    var thread = pthread_t()
    let box = Unmanaged.passRetained(Body(body)).toOpaque()
    pthread_create(
      &thread, nil,
      { context in
        Unmanaged<Body>.fromOpaque(context!).takeRetainedValue().body()
        return nil
      }, box)
    pthread_detach(thread)
  }

  private final class Body: Sendable {
    let body: @Sendable () -> Void
    init(_ body: @escaping @Sendable () -> Void) { self.body = body }
  }

  private func serveUDP(_ answer: Answer) {
    var buffer = [UInt8](repeating: 0, count: 65_536)
    while true {
      var from = sockaddr_storage()
      var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
      withUnsafeMutablePointer(to: &from) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { plain in
          let count = recvfrom(udp, &buffer, buffer.count, 0, plain, &length)
          guard count > 0 else {
            length = 0
            return
          }
          asked.add(1, ordering: .relaxed)
          for message in answer(Array(buffer[..<count]), false) {
            _ = sendto(udp, message, message.count, 0, plain, length)
          }
        }
      }
      guard length > 0 else { break }
    }
    Glibc.close(udp)
  }

  private func serveTCP(_ answer: Answer) {
    var buffer = [UInt8](repeating: 0, count: 4096)
    while true {
      let connection = accept(tcp, nil, nil)
      guard connection >= 0 else { break }
      let count = recv(connection, &buffer, buffer.count, 0)
      if count > 2 {
        asked.add(1, ordering: .relaxed)
        for message in answer(Array(buffer[2..<count]), true) {
          let framed = [UInt8(message.count >> 8), UInt8(message.count & 255)] + message
          _ = send(connection, framed, framed.count, Int32(MSG_NOSIGNAL))
        }
      }
      Glibc.close(connection)
    }
    Glibc.close(tcp)
  }
}

/// Messages of the DNS, as far as a test makes them.
enum DNSMessage {
  /// An answer to a question with so many records.
  static func answer(
    to question: [UInt8], flags: UInt16 = 0x8580, records: [[UInt8]], id: [UInt8]? = nil
  ) -> [UInt8] {
    var message = id ?? Array(question[..<2])
    message += bytes(flags) + bytes(1) + bytes(UInt16(records.count)) + bytes(0) + bytes(0)
    message += asked(question)
    return message + records.joined()
  }

  /// The question without what stands behind it.
  static func asked(_ question: [UInt8]) -> [UInt8] {
    var end = 12
    while end < question.count, question[end] != 0 { end += Int(question[end]) + 1 }
    return Array(question[12..<min(end + 5, question.count)])
  }

  static func name(_ text: String) -> [UInt8] {
    text.split(separator: ".").flatMap { [UInt8($0.utf8.count)] + Array($0.utf8) } + [0]
  }

  /// An SRV record of the name that was asked for.
  static func service(
    _ target: [UInt8], port: UInt16 = 2379, priority: UInt16 = 0, weight: UInt16 = 0,
    owner: [UInt8] = [0xc0, 0x0c]
  ) -> [UInt8] {
    let data = bytes(priority) + bytes(weight) + bytes(port) + target
    return owner + bytes(33) + bytes(1) + [0, 0, 0, 60] + bytes(UInt16(data.count)) + data
  }

  /// A CNAME record.
  static func alias(_ target: [UInt8], owner: [UInt8] = [0xc0, 0x0c]) -> [UInt8] {
    owner + bytes(5) + bytes(1) + [0, 0, 0, 60] + bytes(UInt16(target.count)) + target
  }

  static func bytes(_ number: UInt16) -> [UInt8] { [UInt8(number >> 8), UInt8(number & 255)] }
}
