import Bytes
import EtcdClient
import EventLoops
import GoText
import HTTP
import TLS
import V2API

/// A registry of the v2 discovery protocol: etcd's public service, or the v2 keys of any etcd.
///
/// - Source: etcd `api/v2discovery/discovery.go`, `client/v2/keys.go`.
package final class V2Registry: Registry {
  package let name: String
  package let badEntry = DiscoveryFailure.invalidURL
  /// The cluster's directory.
  private let path: String
  private let caller: V2Caller
  private let transport: V2Transport
  private let loop = EventLoop(name: "etcd-discovery")

  /// Of an answer: far more than a cluster's entries have.
  static let answerBytesMax = 4 << 20
  private static let requestTimeout = Duration.seconds(5)
  private static let dialTimeout = Duration.seconds(30)
  /// Whether the other side of a wait is still there is seen by asking again.
  private static let waitTimeout = Duration.seconds(300)

  /// - Parameters:
  ///   - url: the base, a slash and the token.
  ///   - proxy: the HTTP proxy on the way there; empty for none.
  /// - Throws: what is wrong with the two.
  package init(url: String, proxy: String) throws(DiscoveryFailure) {
    let parts: GoURL
    let endpoint: V2Endpoint
    do throws(GoURL.Failure) {
      parts = try GoURL(url)
      endpoint = try V2Endpoint("\(parts.scheme)://\(parts.host)")
    } catch { throw .other(error.description) }
    guard endpoint.origin != nil, !parts.host.isEmpty else {
      throw .other("unsupported protocol scheme \(GoQuote.text(parts.scheme))")
    }
    name = endpoint.text
    path = parts.path
    let way = try DiscoveryProxy(proxy)
    let layer: TLSLayer
    do throws(TLSFailure) { layer = TLSLayer(try TLSMaterial(TLSSettings())) } catch {
      throw .other(error.description)
    }
    let dial = way.map { $0.dial(layer) } ?? HTTPClient.dial(.layered(layer))
    transport = V2Transport(
      dial, dialTimeout: Self.dialTimeout, loop: loop, bodyBytesMax: Self.answerBytesMax
    ) { request in way.map { $0.forward(request) } ?? request }
    caller = V2Caller([endpoint], transport: transport, timeout: Self.requestTimeout)
    loop.start()
  }

  deinit {
    transport.close()
    loop.stop()
  }

  package func roll() throws(RegistryProblem) -> Roll {
    let size: V2Response
    do throws(V2Failure) { size = try get("_config/size") } catch {
      throw problem(error, "_config/size")
    }
    let list: V2Response
    do throws(V2Failure) { list = try get("") } catch { throw problem(error, "") }
    return Roll(
      size: size.node.value, entries: (list.node.nodes ?? []).compactMap(Self.entry),
      index: list.index)
  }

  package func enter(_ id: String, _ value: String) throws(RegistryProblem) {
    var request = V2Request(method: "PUT", path: full(id))
    request.query = [("prevExist", Bytes("false"))]
    request.body = Bytes(V2Form.encoded([("value", Bytes(value))]))
    request.contentType = V2Form.contentType
    request.isOneShot = true
    do throws(V2Failure) {
      let answer = try ask(request, within: Self.requestTimeout)
      // It must be seen where it was written.
      _ = try ask(wait(id, from: answer.node.createdIndex, isRecursive: false), within: nil)
    } catch {
      if case .refused(code: 105, _, _, _) = error { throw .final(.duplicateID) }
      throw problem(error, id)
    }
  }

  package func next(
    after index: UInt64
  ) throws(RegistryProblem) -> (entry: RegistryEntry?, index: UInt64) {
    do throws(V2Failure) {
      let request = wait("", from: index &+ 1, isRecursive: true)
      guard
        let news = try V2Response(
          try caller.ask(request, deadline: .now + Self.waitTimeout))
      else { return (nil, index) }
      let isNew = ["set", "create", "compareAndSwap", "update"].contains(news.action)
      return (isNew ? Self.entry(news.node) : nil, max(news.node.modifiedIndex, index))
    } catch {
      if error == .deadline { return (nil, index) }
      // The history does not go back so far: look again.
      if case .refused(code: 401, _, _, _) = error {
        throw .away(path: path, error: error.message, detail: error.message)
      }
      throw problem(error, "")
    }
  }

  private static func entry(_ node: V2Node) -> RegistryEntry? {
    let name = node.key.split(separator: "/").last.map(String.init) ?? ""
    guard name != "_config", name != "size" else { return nil }
    return RegistryEntry(id: name, value: node.value, index: node.createdIndex)
  }

  private func full(_ key: String) -> Bytes {
    HTTPRouter.clean(Bytes(key.isEmpty ? "/\(path)" : "/\(path)/\(key)"))
  }

  private func get(_ key: String) throws(V2Failure) -> V2Response {
    var request = V2Request(path: full(key))
    request.query = ["quorum", "recursive", "sorted"].map { (name: $0, value: Bytes("false")) }
    return try ask(request, within: Self.requestTimeout)
  }

  private func wait(_ key: String, from index: UInt64, isRecursive: Bool) -> V2Request {
    var request = V2Request(path: full(key))
    request.isWait = true
    request.query = [
      ("recursive", Bytes("\(isRecursive)")), ("wait", Bytes("true")),
      ("waitIndex", Bytes("\(index)")),
    ]
    return request
  }

  private func ask(
    _ request: V2Request, within time: Duration?
  ) throws(V2Failure) -> V2Response {
    let answer = try caller.ask(request, deadline: .now + (time ?? Self.waitTimeout))
    guard let response = try V2Response(answer) else {
      throw .other("client: response body is empty")
    }
    return response
  }

  private func problem(_ failure: V2Failure, _ key: String) -> RegistryProblem {
    switch failure {
    case .cluster(let attempts):
      .away(
        path: "\(path)/\(key)", error: failure.message,
        detail: attempts.enumerated().map { "error #\($0): \($1.message)\n" }.joined())
    case .attempt, .deadline, .noEndpoints:
      .away(path: "\(path)/\(key)", error: failure.message, detail: failure.message)
    case V2Failure.invalidJSON: .final(.badEndpoint)
    case .refused, .status, .other: .final(.other(failure.message))
    }
  }
}
