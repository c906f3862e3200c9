import Glibc
import Synchronization
import TestSupport

@testable import Proxies

/// A peer URL whose list of members says what a test wants, answered by a thread for as long as the object lives.
final class FakePeer: Sendable {
  private let listener = RawSocket.listening()
  let url: String
  private let clientURLs: Mutex<[String]>
  private let isOver = Mutex(false)

  init(_ ports: [Int]) {
    url = "http://127.0.0.1:\(listener.port)"
    clientURLs = Mutex(ports.map { "http://127.0.0.1:\($0)" })
    let thread = TestThread { [listener, weak self] in
      while true {
        let client = listener.acceptedInTime()
        guard let self, !isOver.withLock({ $0 }) else { return }
        guard let client, case .bytes = client.receive() else { continue }
        client.send(response)
      }
    }
    thread.start()
  }

  private var response: String {
    let urls = clientURLs.withLock { $0 }.map { "\"\($0)\"" }.joined(separator: ",")
    let body = #"[{"id":1,"peerURLs":["\#(url)"],"name":"a","clientURLs":[\#(urls)]}]"#
    return "HTTP/1.1 200 OK\r\nX-Etcd-Cluster-Id: 1f\r\nContent-Length: \(body.utf8.count)\r\n"
      + "Connection: close\r\n\r\n\(body)"
  }

  func close() {
    isOver.withLock { $0 = true }
    _ = RawSocket.connected(to: listener.port)
  }
}

/// A thread of a test that nobody waits for.
struct TestThread {
  let body: @Sendable () -> Void
  init(_ body: @escaping @Sendable () -> Void) { self.body = body }

  private final class Box {
    let body: @Sendable () -> Void
    init(_ body: @escaping @Sendable () -> Void) { self.body = body }
  }

  func start() {
    var thread = pthread_t()
    let box = Unmanaged.passRetained(Box(body)).toOpaque()
    pthread_create(
      &thread, nil,
      { raw in
        Unmanaged<Box>.fromOpaque(raw!).takeRetainedValue().body()
        return nil
      }, box)
    pthread_detach(thread)
  }
}
