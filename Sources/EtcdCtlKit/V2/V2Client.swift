import Bytes
import CommandLineTool
import EtcdClient
import EventLoops
import GoText
import TLS
import V2API

/// The client of a command of the v2 API, as its flags say.
///
/// - Source: etcd 3.5 `etcdctl/ctlv2/command/util.go`.
final class V2Client {
  let tls: EtcdClientConfiguration.TLS?
  let credentials: EtcdClientConfiguration.Credentials?
  let loop: EventLoop
  let transport: V2Transport
  let invocation: V2Invocation
  private let caller: V2Caller
  private let isDebug: Bool

  var endpoints: [V2Endpoint] { caller.endpoints }
  /// Of the last answer.
  var lastStatus: Int { caller.lastStatus }

  /// - Parameter syncs: whether the cluster is asked for the endpoints of its members first, unless a flag forbids it.
  /// - Throws: what is wrong with the flags; exit code 2 when no endpoint can be reached.
  init(_ invocation: V2Invocation, syncs: Bool = true) throws(CommandFailure) {
    self.invocation = invocation
    isDebug = invocation.globals.bool("debug")
    let settings = V2Settings(invocation)
    let endpoints = try settings.endpoints()
    tls = settings.tls
    loop = EventLoop(name: "etcdctl")
    let dialTimeout = invocation.globals.duration("total-timeout")
    do throws(TLSFailure) {
      // A secure endpoint, so that it may be reached whatever the others are.
      let configuration = EtcdClientConfiguration(endpoints: ["https://"], tls: tls)
      let security = try ClientSecurity(configuration, for: .http)
      transport = V2Transport(security.dial, dialTimeout: dialTimeout, loop: loop)
    } catch {
      // cluster-health, the one that does not ask first, tells it in another way.
      throw syncs
        ? invocation.refused(error.description)
        : V2Failure.other(error.description).told(invocation, exitCode: V2Failure.serverError)
    }
    credentials = settings.credentials
    caller = V2Caller(
      endpoints.shuffled(), transport: transport,
      timeout: invocation.globals.duration("timeout"), credentials: credentials)
    if isDebug {
      caller.observer = { [console = invocation.console] request, place, target in
        let body = request.body.map { " -d \(GoQuote.text($0))" } ?? ""
        console.printError(
          "cURL Command: curl -X \(request.method) \(place.root)\(target)\(body)\n")
      }
    }
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
    caller.replaceEndpoints(found.shuffled())
  }

  /// Sends a request to the endpoints in turn until one answers.
  /// - Parameter deadline: the end of all attempts; `nil` for none.
  func ask(
    _ request: V2Request, deadline: ContinuousClock.Instant?
  ) throws(V2Failure) -> V2Answer {
    try caller.ask(request, deadline: deadline)
  }
}
