import Bytes
import EtcdClient
import GoText
import HTTP

/// Asks endpoints of the v2 API, one after another, beginning with the last that answered. The calling thread waits.
///
/// - Source: etcd 3.5 `client/v2/client.go`.
package final class V2Caller {
  /// Asked in this order, beginning with the one that answered last.
  package private(set) var endpoints: [V2Endpoint]
  private var pinned = 0
  private let transport: V2Transport
  private let credentials: EtcdClientConfiguration.Credentials?
  /// Until the head of an answer, of requests that do not wait; 0 for as long as it takes.
  private let timeout: Duration
  /// Hears of every request before it is sent.
  package var observer: ((_ request: V2Request, _ place: V2Endpoint, _ target: String) -> Void)?
  /// Of the last answer.
  package private(set) var lastStatus = 0

  package init(
    _ endpoints: [V2Endpoint], transport: V2Transport, timeout: Duration,
    credentials: EtcdClientConfiguration.Credentials? = nil
  ) {
    self.endpoints = endpoints
    self.transport = transport
    self.timeout = timeout
    self.credentials = credentials
  }

  package func replaceEndpoints(_ new: [V2Endpoint]) {
    endpoints = new
    pinned = 0
  }

  /// Sends a request to the endpoints in turn until one answers.
  /// - Parameter deadline: the end of all attempts; `nil` for none.
  package func ask(
    _ request: V2Request, deadline: ContinuousClock.Instant?
  ) throws(V2Failure) -> V2Answer {
    var attempts: [V2Failure] = []
    let order = Array(endpoints.indices)
    for at in order[pinned...] + order[..<pinned] {
      let endpoint = endpoints[at]
      let failure: V2Failure
      do throws(V2Failure) {
        let answer = try follow(request, endpoint, deadline)
        guard let problem = endpoint.problem(answer.status) else {
          pinned = at
          return answer
        }
        failure = attempts.first ?? problem
        attempts.append(problem)
      } catch {
        if error == .deadline { throw error }
        failure = error
        attempts.append(error)
      }
      if request.isOneShot {
        pinned = order[at...].dropFirst().first ?? 0
        throw failure
      }
    }
    throw .cluster(attempts)
  }

  private static let redirectsMax = 10

  private func follow(
    _ request: V2Request, _ endpoint: V2Endpoint, _ deadline: ContinuousClock.Instant?
  ) throws(V2Failure) -> V2Answer {
    var place = endpoint
    var target = endpoint.path + request.target
    for _ in 0...Self.redirectsMax {
      let answer = try send(request, place, target, deadline)
      guard (300...399).contains(answer.status) else { return answer }
      guard let location = answer.headers["location"], !location.isEmpty else {
        throw .attempt("location header not set", isConnection: false)
      }
      guard let next = try? V2Endpoint(location), next.origin != nil else {
        throw .attempt("location header not valid URL: \(location)", isConnection: false)
      }
      place = next
      target = next.target
    }
    throw .attempt("client: too many redirects", isConnection: false)
  }

  private func send(
    _ request: V2Request, _ place: V2Endpoint, _ target: String,
    _ deadline: ContinuousClock.Instant?
  ) throws(V2Failure) -> V2Answer {
    observer?(request, place, target)
    guard let origin = place.origin else {
      let scheme = GoQuote.text(place.scheme)
      throw .attempt("unsupported protocol scheme \(scheme)", isConnection: false)
    }
    var message = HTTPClientRequest(request.method, origin, target)
    message.headers.set("Host", place.host)
    if let credentials {
      let pair = Bytes("\(credentials.name):\(credentials.password)")
      message.headers.set("Authorization", "Basic " + Base64.standard.encode(pair).string)
    }
    if let type = request.contentType { message.headers.set("Content-Type", type) }
    if let body = request.body { message.body = .bytes(body) }
    let patience = request.isWait || timeout <= .zero ? nil : timeout
    let answer = try transport.send(
      message, place.text, headTimeout: patience, deadline: deadline)
    lastStatus = answer.status
    return answer
  }
}
