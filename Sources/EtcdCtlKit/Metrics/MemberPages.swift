import Bytes
import EtcdClient
import EventLoops
import GoText
import HTTP
import TLS

/// Pages that members serve over HTTP, with the client's TLS.
final class MemberPages: Sendable {
  /// A page, and what its head says of the member's clock.
  struct Page: Sendable {
    let status: Int
    let body: Bytes
    /// Seconds since 1970, whole ones.
    let date: Int64?
  }

  /// Of a page.
  static let bytesMax = 8 << 20

  private let loop: EventLoop
  private let security: ClientSecurity
  private let client: LoopConfined<HTTPClient>
  private let timeout: Duration

  /// - Parameters:
  ///   - endpoints: all that will be asked for.
  ///   - timeout: to connect, and then for an answer.
  /// - Throws: `TLSFailure` for files that cannot be used.
  init(
    _ settings: ClientSettings, _ endpoints: [String], loop: EventLoop, timeout: Duration
  ) throws(TLSFailure) {
    var configuration = settings.client
    configuration.endpoints = endpoints
    security = try ClientSecurity(configuration, for: .http)
    client = LoopConfined(HTTPClient(loop: loop, dial: security.dial))
    self.loop = loop
    self.timeout = timeout
  }

  func close() { loop.execute { [client] in client.value.close() } }

  /// - Returns: the page, or why there is none.
  func get(_ path: String, at endpoint: String) async -> Result<Page, ClientFailure> {
    guard let target = security.origin(endpoint) else {
      return .failure(ClientFailure(local: "no address: \(endpoint)"))
    }
    return await withUnsafeContinuation { done in
      loop.execute { [client, timeout] in
        var request = HTTPClientRequest("GET", target, path)
        request.connectTimeout = timeout
        request.headTimeout = timeout
        client.value.send(request, limit: Self.bytesMax) { result in
          switch result {
          case .success(let (head, body)):
            done.resume(
              returning: .success(
                Page(
                  status: head.status, body: body,
                  date: head.headers["date"].flatMap(Self.seconds))))
          case .failure(let error):
            done.resume(returning: .failure(ClientFailure(local: "\(error)")))
          }
        }
      }
    }
  }

  /// `Mon, 02 Jan 2006 15:04:05 GMT` as seconds since 1970.
  /// - Source: RFC 9110 §5.6.7 IMF-fixdate.
  static func seconds(_ text: String) -> Int64? {
    let parts = text.split(separator: " ")
    let months = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(separator: " ")
    guard parts.count == 6, parts[5] == "GMT", let month = months.firstIndex(of: parts[2]) else {
      return nil
    }
    // checked: at most 12
    let number = month < 9 ? "0\(month + 1)" : "\(month + 1)"
    let time = CivilTime(rfc3339: "\(parts[3])-\(number)-\(parts[1])T\(parts[4])Z")
    return time?.nanosecondsSinceEpoch.map { $0 / 1_000_000_000 }
  }
}
