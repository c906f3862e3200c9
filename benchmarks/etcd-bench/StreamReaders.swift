import Bytes
import EtcdAPI
import Foundation
import Protobuf

/// Counts what arrives on streams of messages, gRPC's frames put together. Pure.
struct MessageCounter {
  /// Messages, and events in watch responses.
  private(set) var messages = 0
  private(set) var events = 0
  private var buffers: [UInt32: [UInt8]] = [:]

  mutating func feed(_ stream: UInt32, _ memory: UnsafeRawBufferPointer) {
    var buffer = buffers.removeValue(forKey: stream) ?? []
    buffer.append(contentsOf: memory)
    var at = 0
    while buffer.count - at >= 5 {
      let size = buffer[(at + 1)..<(at + 5)].reduce(0) { $0 << 8 | Int($1) }
      guard buffer.count - at - 5 >= size else { break }
      messages += 1
      events += Self.events(in: buffer[(at + 5)..<(at + 5 + size)])
      at += 5 + size
    }
    buffer.removeFirst(at)
    if !buffer.isEmpty || buffer.capacity > 0 { buffers[stream] = buffer }
  }

  /// Fields number 11 of a WatchResponse; other messages have none.
  private static func events(in message: ArraySlice<UInt8>) -> Int {
    var (count, at) = (0, message.startIndex)
    func varint() -> UInt64 {
      var (value, shift) = (UInt64(0), UInt64(0))
      while at < message.endIndex {
        let byte = message[at]
        at += 1
        value |= UInt64(byte & 0x7f) << shift
        shift += 7
        if byte < 0x80 { break }
      }
      return value
    }
    while at < message.endIndex {
      let tag = varint()
      let value = varint()
      guard tag & 7 == 2 else { continue }
      if tag >> 3 == 11 { count += 1 }
      at += Int(value)
    }
    return count
  }
}

/// Connections with a stream each, read by one thread.
final class StreamReaders: @unchecked Sendable {
  // @unchecked: the connections belong to the thread once it runs; the counts are behind `lock`.
  private let connections: [(connection: RawConnection, stream: UInt32)]
  private var counters: [MessageCounter]
  private let lock = NSLock()
  private var counted = (messages: 0, events: 0)
  private var failure: BenchError?
  private var isStopping = false
  private var isOver = false

  /// Connects, opens the streams, and waits until every message has its answer.
  /// - Parameter requests: what is sent on each connection's stream, at least one message.
  init(port: Int, path: String, requests: [[Bytes]]) throws(BenchError) {
    var opened: [(connection: RawConnection, stream: UInt32)] = []
    for messages in requests {
      let connection = try RawConnection(port: port, path: path)
      opened.append((connection, try connection.open(messages[0])))
    }
    connections = opened
    counters = opened.map { _ in MessageCounter() }
    for (index, item) in opened.enumerated() {
      item.connection.onData { [unowned self] in counters[index].feed($0, $1) }
    }
    Thread { self.read() }.start()
    // Less than a window at a time, which is given back as the requests are answered.
    var sent = opened.count
    for start in stride(from: 1, to: requests.map(\.count).max() ?? 1, by: 500) {
      for (index, messages) in requests.enumerated() where start < messages.count {
        let part = Array(messages[start..<min(start + 500, messages.count)])
        try opened[index].connection.send(part, on: opened[index].stream)
        sent += part.count
      }
      try wait("answers") { self.messages >= sent }
    }
  }

  /// Sends messages on a connection's stream, all in one write.
  func send(_ messages: [Bytes], on connection: Int) throws(BenchError) {
    let item = connections[connection]
    try item.connection.send(messages, on: item.stream)
  }

  var messages: Int { lock.withLock { counted.messages } }
  var events: Int { lock.withLock { counted.events } }

  /// Waits, in short naps, until something was counted.
  func wait(_ what: String, seconds: Double = 120, _ holds: () -> Bool) throws(BenchError) {
    let deadline = now() + seconds
    while !holds() {
      if let failure = lock.withLock({ failure }) { throw failure }
      guard now() < deadline else {
        throw BenchError("\(what): \(messages) messages, \(events) events")
      }
      usleep(200)
    }
  }

  func stop() {
    lock.withLock { isStopping = true }
    while !lock.withLock({ isOver }) { usleep(1000) }
  }

  private func read() {
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 256 << 10, alignment: 16)
    defer { buffer.deallocate() }
    var polled = connections.map {
      pollfd(fd: $0.connection.descriptor, events: Int16(POLLIN), revents: 0)
    }
    do throws(BenchError) {
      while !lock.withLock({ isStopping }) {
        guard poll(&polled, nfds_t(polled.count), 50) > 0 else { continue }
        for index in polled.indices where polled[index].revents != 0 {
          try connections[index].connection.readOnce(into: buffer)
          try connections[index].connection.giveBack(to: connections[index].stream)
        }
        let sums = counters.reduce((0, 0)) { ($0.0 + $1.messages, $0.1 + $1.events) }
        lock.withLock { counted = sums }
      }
    } catch { lock.withLock { failure = error } }
    lock.withLock { isOver = true }
  }
}
