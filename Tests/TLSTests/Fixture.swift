import Bytes
import EventLoops
import Synchronization
import TestSupport
import Testing

@testable import TLS

/// Certificates that the tests of this target share, made once.
enum Fixture {
  struct Certificates: Sendable {
    let authority: TestAuthority
    let server: TestAuthority.Pair
    let client: TestAuthority.Pair
    let expired: TestAuthority.Pair
    let elsewhere: TestAuthority.Pair
    let revoked: TestAuthority.Pair
    let foreign: TestAuthority.Pair
    let list: String
  }

  static let all: Result<Certificates, any Error> = Result {
    let authority = try TestAuthority()
    let revoked = try authority.issue("revoked", commonName: "revoked")
    return Certificates(
      authority: authority, server: try authority.issue("server"),
      client: try authority.issue("client", commonName: "root"),
      expired: try authority.issue("expired", days: -1),
      elsewhere: try authority.issue("elsewhere", names: "DNS:elsewhere.invalid"),
      revoked: revoked, foreign: try TestAuthority("foreign").kept().issue("foreign"),
      list: try authority.revoke([revoked]))
  }

  static func server(_ change: (inout TLSSettings) -> Void = { _ in }) throws -> TLSSettings {
    let all = try all.get()
    var settings = TLSSettings()
    settings.certificateFile = all.server.certificate
    settings.keyFile = all.server.key
    change(&settings)
    return settings
  }

  /// A client that trusts the authority, and shows what `pair` is.
  static func client(
    _ pair: TestAuthority.Pair? = nil, _ change: (inout TLSSettings) -> Void = { _ in }
  ) throws -> TLSSettings {
    var settings = TLSSettings()
    settings.trustedCAFile = try all.get().authority.certificate
    settings.certificateFile = pair?.certificate ?? ""
    settings.keyFile = pair?.key ?? ""
    change(&settings)
    return settings
  }
}

extension TestAuthority {
  private static let others = Mutex<[TestAuthority]>([])
  /// Keeps the files until the tests end.
  func kept() -> TestAuthority {
    Self.others.withLock { $0.append(self) }
    return self
  }
}

/// A server and a client that shake hands over memory.
final class Handshakes {
  let loop: EventLoop
  let serverEnd: MemoryChannel
  let clientEnd: MemoryChannel
  let server = Witness()
  let client = Witness()
  var serverChannel: (any ByteChannel)?
  var clientResult: Result<any ByteChannel, ChannelError>?
  private let rejections = Rejections()

  var rejection: TLSRejection? { rejections.all.withLock { $0.first } }
  var clientChannel: (any ByteChannel)? { try? clientResult?.get() }
  var clientError: String? {
    if case .failure(let error) = clientResult { return "\(error)" }
    return client.error.map { "\($0)" }
  }

  init(
    _ loop: EventLoop, _ server: TLSSettings, _ client: TLSSettings?, host: String = "127.0.0.1",
    protocols: [String] = [], check: TLSLayer.NameCheck = .none
  ) throws {
    self.loop = loop
    (serverEnd, clientEnd) = MemoryChannel.pair(loop)
    let layer = TLSLayer(try TLSMaterial(server), nameCheck: check) { [rejections] rejection in
      rejections.all.withLock { $0.append(rejection) }
    }
    layer.accept(serverEnd) { [self] in
      serverChannel = $0
      $0.handler = self.server
      $0.start()
    }
    guard let client else { return }
    TLSLayer(try TLSMaterial(client, protocols: protocols)).dial(
      over: clientEnd, host: host, timeout: .seconds(60)
    ) { [self] result in
      clientResult = result
      guard let channel = try? result.get() else { return }
      channel.handler = self.client
      channel.start()
    }
  }

  /// Delivers on both sides until nothing moves, turn after turn.
  /// - Parameter step: bytes at a time.
  func run(step: Int = .max) async {
    var idle = 0
    while idle < 4 {
      await turn()
      let moved = [serverEnd.deliver(step), clientEnd.deliver(step)]
      idle = moved.contains(true) ? 0 : idle + 1
    }
  }

  func turn() async {
    await withCheckedContinuation { done in
      loop.schedule(after: .zero) { done.resume() }
    }
  }
}

private final class Rejections: Sendable {
  let all = Mutex<[TLSRejection]>([])
}
