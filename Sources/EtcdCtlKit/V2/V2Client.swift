import Bytes
import CommandLineTool
import EtcdClient
import EventLoops
import GoText
import HTTP
import JSON
import TLS

/// A client of the v2 API: endpoints that are tried one after another, beginning with the last that answered. The
/// calling thread waits.
///
/// - Source: etcd 3.5 `client/v2/client.go`, `etcdctl/ctlv2/command/util.go`.
final class V2Client {
  private(set) var endpoints: [V2Endpoint]
  private var pinned = 0
  let tls: EtcdClientConfiguration.TLS?
  let credentials: EtcdClientConfiguration.Credentials?
  let loop: EventLoop
  let transport: V2Transport
  let invocation: V2Invocation
  /// Of the last answer.
  private(set) var lastStatus = 0
  private let isDebug: Bool

  /// - Parameter syncs: whether the cluster is asked for the endpoints of its members first, unless a flag forbids it.
  /// - Throws: what is wrong with the flags; exit code 2 when no endpoint can be reached.
  init(_ invocation: V2Invocation, syncs: Bool = true) throws(CommandFailure) {
    self.invocation = invocation
    isDebug = invocation.globals.bool("debug")
    let settings = V2Settings(invocation)
    let endpoints = try settings.endpoints()
    self.endpoints = endpoints.shuffled()
    tls = settings.tls
    loop = EventLoop(name: "etcdctl")
    let dialTimeout = invocation.globals.duration("total-timeout")
    do throws(TLSFailure) {
      transport = try V2Transport(tls, dialTimeout: dialTimeout, loop: loop)
    } catch {
      // cluster-health, the one that does not ask first, tells it in another way.
      throw syncs
        ? invocation.refused(error.description)
        : V2Failure.other(error.description).told(invocation, exitCode: V2Failure.serverError)
    }
    credentials = settings.credentials
    loop.start()
    if syncs, !invocation.globals.bool("no-sync") { try synchronize() }
    if isDebug { debug("Cluster-Endpoints: \(list(", "))") }
  }

  deinit {
    transport.close()
    loop.stop()
  }

  func list(_ separator: String) -> String {
    endpoints.map(\.text).joined(separator: separator)
  }

  func debug(_ line: String) { invocation.console.printError(line + "\n") }

  private func synchronize() throws(CommandFailure) {
    if isDebug { debug("start to sync cluster using endpoints(\(list(",")))") }
    do throws(V2Failure) { try learnEndpoints() } catch {
      if error == .noEndpoints {
        debug("etcd cluster has no published client endpoints.")
        debug(
          "Try '--no-sync' if you want to access non-published client endpoints(\(list(","))).")
        throw error.told(invocation, exitCode: V2Failure.serverError)
      }
      if error.isConnection {
        throw error.told(invocation, exitCode: CommandFailure.badConnection)
      }
    }
    if isDebug { debug("got endpoints(\(list(","))) after sync") }
  }

  private func learnEndpoints() throws(V2Failure) {
    let answer = try ask(V2Members.listRequest, deadline: invocation.deadline)
    let urls = try V2Members.list(answer).flatMap(\.clientURLs)
    guard !urls.isEmpty else { throw .noEndpoints }
    let found: [V2Endpoint]
    do throws(GoURL.Failure) {
      found = try urls.map { (url) throws(GoURL.Failure) in
        try V2Endpoint(url)
      }
    } catch { throw .other(error.description) }
    guard found.map(\.text).sorted() != endpoints.map(\.text).sorted() else { return }
    endpoints = found.shuffled()
    pinned = 0
  }

  /// Sends a request to the endpoints in turn until one answers.
  /// - Parameter deadline: the end of all attempts; `nil` for none.
  func ask(
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
    if isDebug {
      let body = request.body.map { " -d \(GoQuote.text($0))" } ?? ""
      debug("cURL Command: curl -X \(request.method) \(place.root)\(target)\(body)")
    }
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
    let timeout = invocation.globals.duration("timeout")
    let patience = request.isWait || timeout <= .zero ? nil : timeout
    let (sent, transport, text) = (message, transport, place.text)
    let result: Result<V2Answer, V2Failure>
    do throws(ClientFailure) {
      result = try Context.wait { () async throws(ClientFailure) in
        await transport.send(sent, text, headTimeout: patience, deadline: deadline)
      }
    } catch { throw .other(error.message) }
    let answer = try result.get()
    lastStatus = answer.status
    return answer
  }
}
