import Foundation
import Glibc
import Testing

/// A datagram socket as systemd has one for `NOTIFY_SOCKET`, that keeps what it is told.
final class NotifySocket {
  let path: String
  private let descriptor: Int32
  /// Assignments in the order in which they came.
  private(set) var told: [String] = []

  /// - Parameter path: abstract when it begins with `@`.
  init(_ path: String) throws {
    self.path = path
    descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue), 0)
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    var bytes = Array(path.utf8)
    let isAbstract = path.hasPrefix("@")
    if isAbstract { bytes[0] = 0 }
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
    let length = isAbstract ? 2 + bytes.count : MemoryLayout<sockaddr_un>.size
    let bound = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(descriptor, $0, socklen_t(length))
      }
    }
    try #require(bound == 0)
  }

  deinit { close(descriptor) }

  /// Takes what has come, and what comes within so many milliseconds.
  func take(milliseconds: Int32 = 0) {
    var wait = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
    var patience = milliseconds
    while poll(&wait, 1, patience) > 0 {
      patience = 0
      var buffer = [UInt8](repeating: 0, count: 4096)
      let count = recv(descriptor, &buffer, buffer.count, 0)
      guard count > 0 else { return }
      let text = String(decoding: buffer[..<count], as: UTF8.self)
      told += text.split(separator: "\n").map(String.init)
    }
  }

  /// Waits until an assignment came.
  /// - Returns: what came before it and has not been returned, itself included.
  @discardableResult
  func waitFor(_ assignment: String, seconds: Double = 30) throws -> [String] {
    let deadline = Date().addingTimeInterval(seconds)
    while Date() < deadline {
      if let at = told.firstIndex(of: assignment) {
        defer { told.removeFirst(at + 1) }
        return Array(told[...at])
      }
      take(milliseconds: 50)
    }
    throw NotHealthy(description: "\(assignment) was not told, but \(told)")
  }

  func forget() {
    take()
    told = []
  }
}
