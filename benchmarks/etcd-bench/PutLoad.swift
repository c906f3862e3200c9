import Bytes
import EtcdAPI
import EventLoops
import Foundation
import GRPC
import HTTP
import Protobuf

/// Clients that put one key after the other, each on a connection of its own, and note how long each
/// put took: what users see while the server does something else.
///
/// With an interval each client starts a put whenever it is over, so that all servers get the same
/// load. A put that comes late because the one before was slow counts from when it was due, so that
/// a stall is not seen by one put alone.
final class PutLoad: @unchecked Sendable {
  // @unchecked: confined to `loop`.
  private let loop: EventLoop
  private let clients: [GRPCClient]
  private let interval: Double?
  private var samples: [Sample] = []
  private var failure: (any Error)?
  private var running: Int
  private var isStopping = false
  private var waiter: (@Sendable () -> Void)?

  struct Sample {
    /// When it ended.
    let end: Double
    let seconds: Double
  }

  private init(_ loop: EventLoop, _ clients: [GRPCClient], interval: Double?) {
    self.loop = loop
    self.clients = clients
    self.interval = interval
    running = clients.count
  }

  /// Connects and starts to put.
  static func start(
    port: Int, clients count: Int, interval: Double?, loop: EventLoop
  ) async throws -> PutLoad {
    var clients: [GRPCClient] = []
    for _ in 0..<count {
      clients.append(
        try await GRPCClient.connect(
          to: .tcp(host: "127.0.0.1", port: port), loop: loop, dial: HTTPClient.dial(.plain)))
    }
    let load = PutLoad(loop, clients, interval: interval)
    loop.execute {
      for index in 0..<count {
        // Clients take turns within an interval.
        let delay = (interval ?? 0) * Double(index) / Double(count)
        load.put(index, due: now() + delay)
      }
    }
    return load
  }

  private func put(_ index: Int, due: Double) {
    guard !isStopping, failure == nil else { return end() }
    let wait = due - now()
    guard wait <= 0 else {
      loop.schedule(after: .nanoseconds(Int64(wait * 1e9))) { [self] in
        send(index, from: now(), due: due)
      }
      return
    }
    // The client is behind: the delay is the server's. Without an interval nothing is due.
    send(index, from: interval == nil ? now() : due, due: due)
  }

  private func send(_ index: Int, from begin: Double, due: Double) {
    let request = Etcdserverpb.PutRequest(key: Bodies.key(index), value: Bodies.value)
    clients[index].unary(
      Etcdserverpb.KVService.put.path, request.encoded(), timeout: .seconds(60)
    ) { [self] result in
      let time = now()
      switch result {
      case .success: samples.append(Sample(end: time, seconds: time - begin))
      case .failure(let status): failure = status
      }
      put(index, due: due + (interval ?? 0))
    }
  }

  private func end() {
    running -= 1
    if running == 0 { waiter?() }
  }

  /// Ends the load.
  /// - Returns: what every put took.
  /// - Throws: the failure of a put.
  func stop() async throws -> PutTimes {
    await withCheckedContinuation { done in
      loop.execute { [self] in
        isStopping = true
        waiter = { done.resume() }
        if running == 0 { waiter?() }
      }
    }
    for client in clients { client.abort() }
    if let failure { throw BenchError("a put failed: \(failure)") }
    return PutTimes(samples: samples)
  }
}

/// The times of puts in the order in which they ended.
struct PutTimes: Sendable {
  let samples: [PutLoad.Sample]

  /// Sorted seconds of the puts that were under way in a window.
  func sorted(_ window: Window) throws(BenchError) -> [Double] {
    let times = samples.filter { $0.end >= window.begin && $0.end - $0.seconds <= window.end }
      .map(\.seconds)
    guard !times.isEmpty else { throw BenchError("no put in the time that counts") }
    return times.sorted()
  }
}

/// A stretch of time, in seconds of `now()`.
struct Window: Sendable {
  var begin: Double
  var end: Double
  var seconds: Double { end - begin }
}
