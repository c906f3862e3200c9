import Bytes
import Calls
import EtcdConfig
import GoText
import Protobuf

/// A call as tracing tells of it, in OTLP's form.
///
/// - Source: `opentelemetry/proto/trace/v1/trace.proto`, and `collector/trace/v1`; names of spans and attributes are those
///   of otelgrpc, which Go's etcd uses.
struct TraceSpan: Sendable {
  var trace = Bytes()
  var span = Bytes()
  /// Empty when the call began the trace.
  var parent = Bytes()
  var path = ""
  /// Nanoseconds since 1970.
  var start: Int64 = 0
  var end: Int64 = 0
  var remote = ""
  var code = GRPCCode.ok
  var message = ""
  var isUnary = true
  var requestBytes = 0
  var responseBytes = 0

  /// A `trace.v1.Span`.
  func encoded() -> Bytes {
    var out = ByteWriter(capacity: 384)
    out.field(1, trace)
    out.field(2, span)
    if !parent.isEmpty { out.field(4, parent) }
    let name = path.drop { $0 == "/" }
    out.field(5, Bytes(String(name)))
    // SPAN_KIND_SERVER
    out.field(6, 2)
    out.fixed(7, start)
    out.fixed(8, end)
    for attribute in attributes(String(name)) { out.field(9, attribute.encoded()) }
    for event in events { out.field(11, event) }
    if code != .ok {
      var status = ByteWriter()
      status.field(2, Bytes(message))
      // STATUS_CODE_ERROR
      status.field(3, 2)
      out.field(15, status.finish())
    }
    return out.finish()
  }

  private func attributes(_ name: String) -> [TraceAttribute] {
    let parts = name.split(separator: "/", maxSplits: 1)
    var all: [TraceAttribute] = [.text("rpc.system", "grpc")]
    if parts.count == 2 {
      all.append(.text("rpc.service", String(parts[0])))
      all.append(.text("rpc.method", String(parts[1])))
    }
    if let remote = HostPort(remote) {
      all.append(.text("net.peer.ip", remote.host))
      all.append(.text("net.peer.port", remote.port))
    }
    all.append(.number("rpc.grpc.status_code", code.rawValue))
    return all
  }

  /// Bytes of a `google.rpc.Status`, which counts as what was sent when a call fails.
  private var statusBytes: Int {
    2 + (message.isEmpty ? 0 : 2 + message.utf8.count)
  }

  /// What came, and what went, of a unary call.
  private var events: [Bytes] {
    guard isUnary else { return [] }
    let messages = [
      ("RECEIVED", start, requestBytes), ("SENT", end, code == .ok ? responseBytes : statusBytes),
    ]
    return messages.map { type, time, size in
      var out = ByteWriter(capacity: 128)
      out.fixed(1, time)
      out.field(2, "message")
      out.field(3, TraceAttribute.text("message.type", type).encoded())
      out.field(3, TraceAttribute.number("message.id", 1).encoded())
      out.field(3, TraceAttribute.number("message.uncompressed_size", size).encoded())
      return out.finish()
    }
  }

  /// An `ExportTraceServiceRequest` with spans of one process.
  static func request(_ spans: [TraceSpan], of resource: [TraceAttribute]) -> Bytes {
    var described = ByteWriter()
    for attribute in resource { described.field(1, attribute.encoded()) }
    var scope = ByteWriter()
    scope.field(1, "etcd")
    scope.field(2, Bytes(ServerVersion.etcd))
    var scoped = ByteWriter()
    scoped.field(1, scope.finish())
    for span in spans { scoped.field(2, span.encoded()) }
    var whole = ByteWriter()
    whole.field(1, described.finish())
    whole.field(2, scoped.finish())
    var out = ByteWriter()
    out.field(1, whole.finish())
    return out.finish()
  }
}

/// A `common.v1.KeyValue`.
enum TraceAttribute: Sendable {
  case text(String, String)
  case number(String, Int)

  func encoded() -> Bytes {
    var value = ByteWriter()
    var out = ByteWriter()
    switch self {
    case .text(let name, let text):
      out.field(1, Bytes(name))
      value.field(1, Bytes(text))
    case .number(let name, let number):
      out.field(1, Bytes(name))
      // Of a count that cannot be negative.
      value.field(3, UInt64(clamping: number))
    }
    out.field(2, value.finish())
    return out.finish()
  }
}

extension ByteWriter {
  /// A field of bytes, a text or a message.
  fileprivate mutating func field(_ number: UInt64, _ bytes: Bytes) {
    appendVarint(number << 3 | 2)
    appendVarint(UInt64(bytes.count))
    append(bytes)
  }

  fileprivate mutating func field(_ number: UInt64, _ value: UInt64) {
    appendVarint(number << 3)
    appendVarint(value)
  }

  fileprivate mutating func fixed(_ number: UInt64, _ value: Int64) {
    appendVarint(number << 3 | 1)
    appendLittleEndian(value)
  }
}
