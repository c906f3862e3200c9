import Bytes
import Calls
import CommandLineTool
import EtcdAPI
import EtcdClient
import EventLoops
import GRPC
import GoText
import JSON
import Protobuf

/// A client of a cluster for one command: failures in the words of Go's client, and its warnings.
final class Session: Sendable {
  /// An answer, decoded and as it came.
  struct Answer<Message: Sendable>: Sendable {
    let message: Message
    let raw: Bytes
  }

  let settings: ClientSettings
  let client: ClientSession

  init(_ settings: ClientSettings, loop: EventLoop, log: ClientLog) {
    self.settings = settings
    client = ClientSession(
      settings.client, loop: loop, observer: Warnings(log, settings))
  }

  func close() { client.close() }

  /// The client library on this session. It waits as long as it takes, as Go's does where it is used.
  func library(on loop: EventLoop) -> EtcdClient {
    var configuration = settings.client
    configuration.requestTimeout = nil
    return EtcdClient(configuration, session: client, loop: loop)
  }

  /// A unary request, repeated where Go's client repeats it.
  /// - Parameter deadline: the end of all attempts; `nil` for none.
  func call<Reply: ProtobufMessage>(
    _ method: MethodDescriptor, _ request: some ProtobufMessage, _ type: Reply.Type,
    deadline: ContinuousClock.Instant?
  ) async throws(ClientFailure) -> Answer<Reply> {
    do throws(GRPCStatus) {
      let answer = try await client.call(method, request, type, deadline: deadline)
      return Answer(message: answer.message, raw: answer.raw)
    } catch { throw ClientFailure(error) }
  }

  /// The answers to one request, begun again while the first of them is a failure that may pass.
  /// - Returns: the stream behind its first answer; that is `nil` when there is none.
  func answers(
    _ method: MethodDescriptor, _ request: some ProtobufMessage,
    deadline: ContinuousClock.Instant?
  ) async throws(ClientFailure) -> (first: Bytes?, rest: ClientStream) {
    do throws(GRPCStatus) {
      return try await client.answers(method, request, deadline: deadline)
    } catch {
      settings.phases.failed(settings, error)
      throw ClientFailure(error)
    }
  }

  /// Renews a lease once.
  func renew(
    _ lease: Int64, deadline: ContinuousClock.Instant?
  ) async throws(ClientFailure) -> Etcdserverpb.LeaseKeepAliveResponse {
    do throws(GRPCStatus) {
      return try await client.renew(lease, newToken: true, deadline: deadline)
    } catch {
      settings.phases.failed(settings, error)
      throw ClientFailure(error)
    }
  }

  /// Gets a new token when there is a user with a password; a cluster without authentication needs none.
  func signIn(deadline: ContinuousClock.Instant?) async throws(ClientFailure) {
    do throws(GRPCStatus) { try await client.signIn(deadline: deadline) } catch {
      throw ClientFailure(error)
    }
  }

  static func failure(_ error: any Error) -> ClientFailure {
    ClientFailure(ClientSession.status(error))
  }
}

/// Attempts that failed, as lines that scripts read.
private final class Warnings: SessionObserver {
  private let log: ClientLog
  private let settings: ClientSettings

  init(_ log: ClientLog, _ settings: ClientSettings) {
    self.log = log
    self.settings = settings
    if settings.isDebug, settings.keepaliveTime > .zero, settings.keepaliveTime < .seconds(10) {
      log.debug("WARNING", "Adjusting keepalive ping interval to minimum period of 10s")
    }
  }

  /// - Source: grpc-go's `clientconn.go`, whose lines these are.
  func connection(to endpoint: String, _ change: ConnectionChange) {
    settings.phases.connection(to: endpoint, change)
    guard settings.isDebug else { return }
    let name = Endpoint.name(endpoint)
    func state(_ state: String) { log.debug("INFO", "Subchannel Connectivity change to \(state)") }
    switch change {
    case .connecting:
      state("CONNECTING")
      log.debug("INFO", "Subchannel picks a new address \(GoQuote.text(name)) to connect")
    case .ready: state("READY")
    case .failed(_, let reason), .lost(let reason):
      log.debug(
        "WARNING",
        "grpc: addrConn.createTransport failed to connect to {\(name)}. Err: \(reason). "
          + "Reconnecting...")
      state("TRANSIENT_FAILURE")
    }
  }

  /// Name of the cluster in logs; the number tells clients apart.
  private var target: String {
    let number = String(UInt(bitPattern: ObjectIdentifier(self)), radix: 16)
    return "etcd-endpoints://0x\(number)/\(Endpoint.name(settings.endpoints.first ?? ""))"
  }

  func attemptFailed(_ attempt: Int, _ status: GRPCStatus) {
    settings.phases.failed(settings, status)
    log.warn(
      "retrying of unary invoker failed",
      [
        ("target", .string(target)), ("attempt", .integer(Int64(clamping: attempt))),
        ("error", .string("\(status)")),
      ])
  }

  func signInFailed(_ status: GRPCStatus) {
    log.warn(
      "retrying of unary invoker failed to fetch new auth token",
      [("target", .string(target)), ("error", .string(ClientFailure(status).message))])
  }

  func streamRepeated(after status: GRPCStatus) {
    log.warn("retrying RecvMsg", [("error", .string("\(status)"))])
  }
}

extension ClientSettings {
  var client: EtcdClientConfiguration {
    EtcdClientConfiguration(
      endpoints: endpoints, tls: tls,
      credentials: user.map { .init(name: $0.name, password: $0.password) },
      dialTimeout: dialTimeout, requestTimeout: commandTimeout,
      keepaliveInterval: keepaliveTime > .zero ? keepaliveTime : nil,
      keepaliveTimeout: keepaliveTimeout)
  }
}
