import Calls
import EtcdAPI
import EtcdClient
import EventLoops
import GRPC
import Protobuf
import TLS

/// Finds out what a failed command could say besides its error. It asks again where that tells more, for a second
/// at most.
struct HintFinder {
  private let failures: [PhaseLog.Failure]
  private let reached: [String: PhaseLog.Reached]

  private static let patience = Duration.seconds(1)
  /// A cluster has few members; more endpoints than this tell nothing more.
  static let linesMax = 16

  init(_ phases: PhaseLog) { (failures, reached) = phases.seen }

  /// Lines with their ends; empty for nothing. The calling thread waits.
  func text() -> String {
    guard !failures.isEmpty else { return "" }
    let loop = EventLoop(name: "etcdctl-hints")
    loop.start()
    defer { loop.stop() }
    let found = try? Context.wait { () async throws(ClientFailure) in await lines(on: loop) }
    return (found ?? []).joined()
  }

  /// Lines with their ends, each once.
  func lines(on loop: EventLoop) async -> [String] {
    await withTaskGroup(of: (Int, String?).self) { group in
      for (at, question) in questions.prefix(Self.linesMax).enumerated() {
        group.addTask { (at, await question.answer(loop, Self.patience)) }
      }
      var lines: [(Int, String?)] = []
      for await line in group { lines.append(line) }
      var seen: Set<String> = []
      return lines.sorted { $0.0 < $1.0 }.compactMap(\.1).filter { seen.insert($0).inserted }
    }
  }

  private var questions: [Question] {
    failures.flatMap { failure -> [Question] in
      if let line = Hint.line(failure.status.message) { return [.known(line)] }
      guard failure.isWithoutAnswer else { return [] }
      return failure.settings.endpoints.map { endpoint in
        switch reached[endpoint] {
        case .ready: .waiting(endpoint, failure.settings)
        case .failed(let phase, let reason):
          .broken(failure.settings.obstacle(endpoint, phase, reason), failure.settings)
        case .connecting, nil:
          .broken(failure.settings.obstacle(endpoint, .connect, "i/o timeout"), failure.settings)
        }
      }
    }
  }
}

extension PhaseLog.Failure {
  /// Whether nothing is known but that there was no answer.
  fileprivate var isWithoutAnswer: Bool {
    if EtcdError.known.contains(where: { $0.message == status.message }) { return false }
    // The server's own deadline, when it comes first: Go's gives it no code.
    return [.deadlineExceeded, .unavailable].contains(status.code)
      || (status.code == .unknown && status.message == GRPCStatus.deadlineExceeded.message)
  }
}

/// What a hint is made of, and what has to be asked for it first.
private enum Question: Sendable {
  case known(String)
  case waiting(String, ClientSettings)
  case broken(Hint.Obstacle, ClientSettings)

  func answer(_ loop: EventLoop, _ patience: Duration) async -> String? {
    switch self {
    case .known(let line): return line
    case .waiting(let endpoint, let settings):
      return Hint.line(
        endpoint, waitingFor: await Self.status(of: endpoint, settings, loop, patience))
    case .broken(var obstacle, let settings):
      if obstacle.phase == .http2, !obstacle.isSecure {
        let shown = await CertificateProbe.look(
          at: obstacle.endpoint, settings.tls, loop: loop, within: patience)
        obstacle.speaksTLS =
          switch shown {
          case .success: true
          // A server that refuses the client speaks it, too.
          case .failure(let failure): failure.description.hasPrefix("remote error: tls")
          }
      }
      return Hint.line(obstacle)
    }
  }

  private static func status(
    of endpoint: String, _ settings: ClientSettings, _ loop: EventLoop, _ patience: Duration
  ) async -> Hint.Member {
    var settings = settings
    settings.endpoints = [endpoint]
    let client = ClientSession(settings.client, loop: loop, observer: nil)
    defer { client.close() }
    do throws(GRPCStatus) {
      let answer = try await client.call(
        Etcdserverpb.MaintenanceService.status, Etcdserverpb.StatusRequest(),
        Etcdserverpb.StatusResponse.self, deadline: .now + patience)
      let status = answer.message
      return .status(
        leader: status.leader, id: status.header?.memberID ?? 0, errors: status.errors)
    } catch { return .silent }
  }
}

extension ClientSettings {
  /// Whether an endpoint is reached by TLS.
  func isSecure(_ endpoint: String) -> Bool {
    Endpoint.isSecure(endpoint) || (tls != nil && Endpoint.mayBeSecure(endpoint))
  }

  /// An endpoint without a connection, and what was tried there.
  func obstacle(
    _ endpoint: String, _ phase: GRPCConnectFailure.Phase, _ reason: String
  ) -> Hint.Obstacle {
    Hint.Obstacle(
      endpoint: endpoint, phase: phase, reason: reason,
      isSecure: isSecure(endpoint),
      hasCertificate: !(tls?.certificateFile ?? "").isEmpty,
      hasAuthority: !(tls?.trustedCAFile ?? "").isEmpty)
  }
}
