import Bytes
import EtcdClient
import EventLoops
import GoText
import HTTP
import TLS

/// A request of the v2 API, for any endpoint.
struct V2Request: Sendable {
  var method = "GET"
  /// Begins with a slash, not escaped.
  var path: Bytes
  /// Names and values, not escaped.
  var query: [(name: String, value: Bytes)] = []
  /// Sent as it is; `nil` for none.
  var body: Bytes?
  var contentType: String?
  /// Whether the answer may take as long as it likes.
  var isWait = false
  /// Whether a failure counts at once, because the first attempt may have been carried out.
  var isOneShot = false

  /// Path and query as they stand in a request line.
  var target: String {
    let query = V2Form.encoded(query.sorted { $0.name < $1.name })
    return URLCoding.encodePath(path) + (query.isEmpty ? "" : "?" + query)
  }
}

/// Names and values as a form or a query has them.
///
/// - Source: Go `net/url` `Values.Encode`, `QueryEscape`.
enum V2Form {
  static func encoded(_ fields: [(name: String, value: Bytes)]) -> String {
    fields.map { "\($0.name)=\(escaped($0.value))" }.joined(separator: "&")
  }

  private static func escaped(_ bytes: Bytes) -> String {
    let hex = Array("0123456789ABCDEF".utf8)
    var out: [UInt8] = []
    for byte in bytes {
      switch byte {
      case 0x30...0x39, 0x41...0x5a, 0x61...0x7a, 0x2d, 0x2e, 0x5f, 0x7e: out.append(byte)
      case 0x20: out.append(0x2b)
      // checked: four bits
      default: out += [0x25, hex[Int(byte >> 4)], hex[Int(byte & 15)]]
      }
    }
    return String(decoding: out, as: UTF8.self)
  }
}

/// An answer to a request.
struct V2Answer: Sendable {
  let status: Int
  let headers: HTTPHeaders
  let body: Bytes
}

/// Sends one request to one place and waits for all of the answer.
final class V2Transport: Sendable {
  /// Of an answer: more than a server's whole v2 store.
  static let bodyBytesMax = 1 << 30

  let loop: EventLoop
  private let client: LoopConfined<HTTPClient>
  private let dialTimeout: Duration

  /// - Parameter dialTimeout: to have a connection; half a minute at most.
  /// - Throws: for files that cannot be used, in Go's words.
  init(
    _ tls: EtcdClientConfiguration.TLS?, dialTimeout: Duration, loop: EventLoop
  ) throws(TLSFailure) {
    self.dialTimeout =
      dialTimeout > .zero ? min(dialTimeout, Self.longestDial) : Self.longestDial
    // A secure endpoint, so that it may be reached whatever the others are.
    let configuration = EtcdClientConfiguration(endpoints: ["https://"], tls: tls)
    let security = try ClientSecurity(configuration, for: .http)
    client = LoopConfined(HTTPClient(loop: loop, dial: security.dial))
    self.loop = loop
  }

  func close() { loop.execute { [client] in client.value.close() } }

  /// Sends a request.
  /// - Parameters:
  ///   - place: what the errors call the endpoint.
  ///   - headTimeout: to connect, and then until the head; `nil` for as long as it takes once there is a connection.
  ///   - deadline: the end of everything; `nil` for none.
  func send(
    _ request: HTTPClientRequest, _ place: String, headTimeout: Duration?,
    deadline: ContinuousClock.Instant?
  ) async -> Result<V2Answer, V2Failure> {
    let left = deadline.map { $0 - .now }
    if let left, left <= .zero { return .failure(.deadline) }
    var request = request
    let patience = [headTimeout, left].compactMap { $0 }.min()
    let isDialShort = patience.map { $0 > dialTimeout } ?? true
    request.connectTimeout = isDialShort ? dialTimeout : patience ?? dialTimeout
    request.headTimeout = patience
    request.idleTimeout = nil
    let sent = request
    return await withUnsafeContinuation { done in
      loop.execute { [client, loop] in
        var timer: LoopTimer?
        let call = client.value.send(sent, limit: Self.bodyBytesMax) { result in
          timer?.cancel()
          done.resume(
            returning: result.map {
              V2Answer(status: $0.head.status, headers: $0.head.headers, body: $0.body)
            }.mapError { error in
              guard !(deadline.map { $0 <= .now } ?? false) else { return .deadline }
              if isDialShort, case .connect(.timedOut(let operation)) = error {
                return .attempt("\(operation): i/o timeout", isConnection: true)
              }
              return Self.failure(error, place)
            })
        }
        guard let left else { return }
        timer = loop.schedule(after: left) { call.cancel() }
      }
    }
  }

  private static let longestDial = Duration.seconds(30)

  private static func failure(_ error: HTTPClientError, _ place: String) -> V2Failure {
    let silence = V2Failure.attempt(
      "client: endpoint \(place) exceeded header timeout", isConnection: false)
    switch error {
    case .connect(.timedOut), .timedOut: return silence
    case .cancelled: return .deadline
    case .connect(.system(let operation, let error)):
      return .attempt("\(operation): connect: \(error)", isConnection: true)
    case .disconnected(nil): return .attempt("EOF", isConnection: false)
    case .disconnected: return .attempt("\(error)", isConnection: true)
    case .connect, .malformed, .tooLarge: return .attempt("\(error)", isConnection: false)
    }
  }
}
