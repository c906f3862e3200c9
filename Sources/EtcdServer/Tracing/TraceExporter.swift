import Bytes
import Calls
import EtcdConfig
import EventLoops
import GRPC
import GoText
import HTTP
import Platform

/// Sends spans of calls to a collector, in batches; what it cannot take in time is dropped and counted.
///
/// - Source: etcd `embed/config_tracing.go`; sizes and pauses are OpenTelemetry's for batches.
final class TraceExporter: @unchecked Sendable {
  // @unchecked: confined to `loop`; `ended` may be called on any loop and hands over.

  private static let path = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
  /// Spans that wait; more are dropped.
  private static let waitingMax = 2_048
  /// Spans of one request.
  private static let batchMax = 512
  private static let interval = Duration.seconds(5)
  private static let timeout = Duration.seconds(10)

  private let loop: EventLoop
  private let sampling: TraceSampling
  private let resource: [TraceAttribute]
  private let origin: HTTPOrigin
  private let logger: Logger
  private let wall: @Sendable () -> Int64

  private var waiting: [TraceSpan] = []
  private var dropped = 0
  private var client: GRPCClient?
  private var isSending = false
  private var hasFailed = false
  private var timer: LoopTimer?

  /// - Returns: `nil` when tracing is not asked for.
  init?(_ config: ServerConfig, loop: EventLoop, logger: Logger) {
    guard config.tracing.isEnabled, let address = HostPort(config.tracing.address),
      let port = Int(address.port)
    else { return nil }
    self.loop = loop
    self.logger = logger
    sampling = TraceSampling(rate: config.tracing.samplingRate)
    var resource = [TraceAttribute.text("service.name", config.tracing.serviceName)]
    if !config.tracing.instanceID.isEmpty {
      resource.append(.text("service.instance.id", config.tracing.instanceID))
    }
    self.resource = resource
    origin = HTTPOrigin(.tcp(host: address.host, port: port))
    wall = { WallClock.nanoseconds }
  }

  /// On the loop.
  func start() {
    timer = loop.schedule(after: Self.interval, repeating: Self.interval) { [weak self] in
      self?.send()
    }
  }

  /// Sends what is left, for whoever still takes it. On the loop.
  func stop() {
    timer?.cancel()
    send()
  }

  /// A call is over.
  func ended(_ call: FinishedCall) {
    let parent = call.metadata["traceparent"].flatMap { TraceParent($0) }
    let trace = parent?.trace ?? Self.random(16)
    guard sampling.records(parent, trace: trace) else { return }
    let end = wall()
    let span = TraceSpan(
      trace: trace, span: Self.random(8), parent: parent?.span ?? Bytes(), path: call.path,
      start: end &- call.time.nanosecondsSigned, end: end,
      remote: call.remoteAddress.map { "\($0)" } ?? "", code: call.status.code,
      message: call.status.message, isUnary: call.isUnary, requestBytes: call.requestBytes,
      responseBytes: call.responseBytes)
    loop.execute { self.add(span) }
  }

  private static func random(_ count: Int) -> Bytes {
    Bytes((0..<count).map { _ in UInt8.random(in: 1...255) })
  }

  private func add(_ span: TraceSpan) {
    guard waiting.count < Self.waitingMax else {
      dropped += 1
      return
    }
    waiting.append(span)
    if waiting.count >= Self.batchMax { send() }
  }

  private func send() {
    guard !isSending, !waiting.isEmpty else { return }
    isSending = true
    let batch = Array(waiting.prefix(Self.batchMax))
    waiting.removeFirst(batch.count)
    let request = TraceSpan.request(batch, of: resource)
    let (loop, origin, known) = (loop, origin, client)
    Task(executorPreference: loop) { [self] in
      do {
        let client: GRPCClient
        if let known {
          client = known
        } else {
          client = try await GRPCClient.connect(
            to: origin, loop: loop, dial: HTTPClient.dial(.plain))
        }
        _ = try await client.unary(Self.path, request, timeout: Self.timeout)
        loop.execute { self.sent(client, batch.count, nil) }
      } catch {
        let reason = "\(error)"
        loop.execute { self.sent(nil, batch.count, reason) }
      }
    }
  }

  /// A batch was taken, or is lost: a collector that is away must not fill the memory of a member.
  private func sent(_ client: GRPCClient?, _ count: Int, _ failure: String?) {
    isSending = false
    self.client = client
    if let failure {
      dropped += count
      if !hasFailed {
        logger.warn(
          "failed to export traces; they are dropped until the collector takes them again",
          [
            LogField("collector", .string("\(origin)")), LogField("error", .string(failure)),
            LogField("dropped-spans", .int(dropped)),
          ])
      }
      hasFailed = true
      return
    }
    if hasFailed {
      logger.info(
        "traces are exported again",
        [LogField("collector", .string("\(origin)")), LogField("dropped-spans", .int(dropped))])
    }
    hasFailed = false
    if waiting.count >= Self.batchMax { send() }
  }
}

extension Duration {
  fileprivate var nanosecondsSigned: Int64 { Int64(clamping: nanoseconds) }
}
