import EtcdClient
import Foundation
import TestSupport
import Testing

@testable import Discovery

/// Servers behind `--discovery-endpoints` that are none, lie or say nothing: asked again later, within a request's time.
@Suite struct V3RegistryTests {
  /// A frame of HTTP/2 on the connection.
  private func frame(_ type: UInt8, _ payload: [UInt8], length: Int? = nil) -> [UInt8] {
    let length = length ?? payload.count
    return [UInt8(length >> 16 & 255), UInt8(length >> 8 & 255), UInt8(length & 255), type, 0]
      + [0, 0, 0, 0] + payload
  }

  /// Why there is no roll; on a thread of its own, for whoever asks a registry waits and needs those that tests run on.
  private func problem(of port: Int) async -> RegistryProblem? {
    await withCheckedContinuation { done in
      Thread {
        let configuration = EtcdClientConfiguration(
          endpoints: ["http://127.0.0.1:\(port)"], dialTimeout: .milliseconds(300),
          requestTimeout: .milliseconds(300))
        do {
          _ = try V3Registry(configuration, token: "t").roll()
          done.resume(returning: nil)
        } catch { done.resume(returning: error as? RegistryProblem) }
      }.start()
    }
  }

  @Test(.timeLimit(.minutes(5))) func serversThatAreNone() async {
    let settings = frame(4, [])
    let answers: [(name: String, answer: [UInt8]?)] = [
      ("silent", nil), ("closed", []), ("plain HTTP", Array("HTTP/1.1 400 Bad\r\n\r\n".utf8)),
      ("garbage", (0..<2_000).map { UInt8(truncatingIfNeeded: $0 &* 31) }),
      ("settings alone", settings),
      ("a frame without end", settings + frame(0, [], length: 16_777_215)),
      ("leave", settings + frame(7, [0, 0, 0, 0, 0, 0, 0, 2])),
      ("odd settings", frame(4, [0, 4, 0xff, 0xff, 0xff, 0xff, 0, 5, 0, 0, 0, 1])),
      ("headers of nothing", settings + frame(1, [0xff, 0xff, 0xff, 0xff, 0xff, 0xff])),
    ]
    for (name, answer) in answers {
      let server = RawServer { _ in answer }
      defer { server.close() }
      let problem = await problem(of: server.port)
      guard case .away(let path, let error, _)? = problem else {
        Issue.record("\(name): \(String(describing: problem))")
        continue
      }
      #expect(path == "/_etcd/registry/t/_config/size" && !error.isEmpty, "\(name): \(error)")
    }
  }
}
