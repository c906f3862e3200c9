import Bytes
import EtcdAPI
import Foundation
import Protobuf

/// Requests on a hot path of the server, as `CostGuard` counts them.
protocol CostLoad {
  /// Sends the requests of a batch, all in one write, and waits until they are answered.
  func run(batch: Range<Int>) throws(BenchError)
  /// Looks once more at what came, after `count` requests.
  /// - Throws: `BenchError` when answers are too short to be what was asked for.
  func check(_ count: Int) throws(BenchError)
}

/// Unary requests, each on a stream of its own.
final class UnaryCost: CostLoad {
  private let connection: RawConnection
  private let messages: [Bytes]
  private let replyBytesMin: Int
  private var sent = 0

  /// - Parameter replyBytesMin: of a good reply; an error has none.
  init(
    _ path: String, port: Int, usesTLS: Bool = false, replyBytesMin: Int, _ messages: [Bytes]
  ) throws(BenchError) {
    connection = try RawConnection(port: port, path: path, usesTLS: usesTLS)
    self.messages = messages
    self.replyBytesMin = replyBytesMin
  }

  func run(batch: Range<Int>) throws(BenchError) {
    try connection.send(Array(messages[batch]))
    sent += batch.count
    try connection.receive(until: sent)
  }

  func check(_ count: Int) throws(BenchError) {
    guard connection.dataBytes >= count * replyBytesMin else {
      throw BenchError("replies of \(connection.dataBytes) bytes are too short")
    }
  }
}

/// Renewals of one lease on a stream that stays open.
final class RenewalCost: CostLoad {
  private let readers: StreamReaders
  private let message: Bytes
  private var sent = 1

  init(port: Int, lease: Int64) throws(BenchError) {
    message = Etcdserverpb.LeaseKeepAliveRequest(id: lease).encoded()
    readers = try StreamReaders(
      port: port, path: Etcdserverpb.LeaseService.leaseKeepAlive.path, requests: [[message]])
  }

  deinit { readers.stop() }

  func run(batch: Range<Int>) throws(BenchError) {
    try readers.send(Array(repeating: message, count: batch.count), on: 0)
    sent += batch.count
    try readers.wait("renewals") { readers.messages >= sent }
  }

  /// Each was answered, or `run` would wait still.
  func check(_ count: Int) throws(BenchError) {}
}

/// Puts of keys that watchers on another connection see.
final class WatchedPutCost: CostLoad {
  private let puts: UnaryCost
  private let readers: StreamReaders
  private let watchers: Int
  private var written = 0

  init(port: Int, watchers: Int, _ puts: UnaryCost) throws(BenchError) {
    let create = Etcdserverpb.WatchRequest(
      requestUnion: .createRequest(
        Etcdserverpb.WatchCreateRequest(key: "0", rangeEnd: "g"))
    ).encoded()
    readers = try StreamReaders(
      port: port, path: Etcdserverpb.WatchService.watch.path,
      requests: [Array(repeating: create, count: watchers)])
    self.watchers = watchers
    self.puts = puts
  }

  deinit { readers.stop() }

  func run(batch: Range<Int>) throws(BenchError) {
    try puts.run(batch: batch)
    written += batch.count
    try readers.wait("events") { readers.events >= written * watchers }
  }

  func check(_ count: Int) throws(BenchError) { try puts.check(count) }
}
