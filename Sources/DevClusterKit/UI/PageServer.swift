import Bytes
import EventLoops
import HTTP
import JSON
import Platform

/// Serves the status page on 127.0.0.1 and does what it asks; who may ask what is `PageGuard`'s matter. Confined
/// to its loop.
final class PageServer: @unchecked Sendable {
  // @unchecked: confined to its loop, which runs the listener's calls.

  /// Connections; a browser takes six. Others wait in the backlog.
  static let connectionsMax = 32
  static let bodyBytesMax = 128 << 10
  private static let historyBytesMax = 64 << 20
  private static let eventBytesMax = 128 << 10
  private static let logLinesMax = 200
  private static let callTimeout: Duration = .seconds(5)

  let address: PageAddress
  let feed: PageFeed
  private let door: PageGuard
  private let source: PageSource
  private var listener: Listener?

  /// - Throws: `ChannelError` when the port cannot be had.
  init(_ address: PageAddress, _ source: PageSource) throws(ChannelError) {
    self.address = address
    self.source = source
    door = PageGuard(token: address.token, port: address.port)
    feed = PageFeed(source)
    listener = try Listener(
      loop: source.loop, endpoint: .tcp(host: "127.0.0.1", port: address.port), policy: .plain,
      admission: ConnectionAdmission(limit: Self.connectionsMax)
    ) { [weak self] channel in
      guard let self else { return channel.abort() }
      // The channel keeps it.
      _ = HTTP1ServerConnection(channel: channel, limits: Self.limits) { [weak self] in
        self?.serve($0)
      }
      channel.start()
    }
  }

  private static var limits: HTTPServerLimits {
    var limits = HTTPServerLimits()
    limits.bodyTimeout = .seconds(10)
    limits.idleTimeout = .seconds(60)
    return limits
  }

  /// Nothing more is served.
  func close() {
    listener?.close()
    listener = nil
    feed.close()
  }

  // MARK: requests

  private func serve(_ exchange: HTTPExchange) {
    exchange.extraHeaders = PageGuard.headers
    do throws(PageGuard.Refusal) { try serve(try door.route(exchange.request), exchange) } catch {
      exchange.respond(
        status: error.status, headers: ["Content-Type": "text/plain; charset=utf-8"],
        body: Bytes(error.text + "\n"))
    }
  }

  private func serve(
    _ route: PageRoute, _ exchange: HTTPExchange
  ) throws(PageGuard.Refusal) {
    switch route {
    case .file(let file, let setsCookie):
      var headers: HTTPHeaders = ["Content-Type": file.type]
      if setsCookie { headers.add("Set-Cookie", door.setCookie) }
      exchange.respond(status: 200, headers: headers, body: file.bytes)
    case .status: source.ask(.status) { Self.answer(exchange, $0) }
    case .events:
      let lines = PageFeed.events(source.directory, bytesMax: Self.eventBytesMax)
      let text = lines.map { $0.encoded().string + "\n" }.joined()
      exchange.respond(
        status: 200, headers: ["Content-Type": "application/x-ndjson"], body: Bytes(text))
    case .logs(let choice):
      let lines = LogTail.lines(choice, source.all(), count: Self.logLinesMax)
      Self.answer(
        exchange, ["lines": .array(lines.map { PageQueue.json($0.line, of: $0.member) })])
    case .keys(let query): keys(query, exchange)
    case .stream(let wanted):
      guard feed.open(wanted, exchange) else {
        throw PageGuard.Refusal(503, "\(PageFeed.streamsMax) pages are open; close one")
      }
    case .history: try history(exchange)
    case .order, .changeKey, .scenario:
      exchange.collectBody(limit: Self.bodyBytesMax) { [weak self] result in
        self?.change(route, result, exchange)
      }
    }
  }

  private func change(
    _ route: PageRoute, _ body: Result<Bytes, HTTPBodyError>, _ exchange: HTTPExchange
  ) {
    do throws(PageGuard.Refusal) {
      let bytes: Bytes
      do throws(HTTPBodyError) { bytes = try body.get() } catch {
        throw PageGuard.Refusal(413, "cannot read the order: \(error.description)")
      }
      switch route {
      case .order: source.ask(try PageGuard.order(bytes)) { Self.answer(exchange, $0) }
      case .changeKey:
        source.api.call(
          try PageGuard.keyChange(bytes), source.members(), timeout: Self.callTimeout
        ) { result in
          switch result {
          case .success: Self.answer(exchange, [:])
          case .failure(let error): Self.answer(exchange, FleetLife.refusal(error))
          }
        }
      default:
        do throws(DevClusterError) {
          try source.scenarios.perform(bytes)
          Self.answer(exchange, source.scenarios.state)
        } catch { Self.answer(exchange, FleetLife.refusal(error)) }
      }
    } catch { Self.answer(exchange, ["error": .string(error.text)], status: error.status) }
  }

  /// An answer with `error` has a status of its own.
  private static func answer(_ exchange: HTTPExchange, _ object: JSONObject, status: Int? = nil) {
    exchange.respond(
      status: status ?? (object["error"] == nil ? 200 : 409),
      headers: ["Content-Type": "application/json"],
      body: Bytes(JSONValue.object(object).encoded().string + "\n"))
  }

  /// A page of keys; without their values where those are too large together.
  private func keys(_ query: KeyQuery, _ exchange: HTTPExchange, keysOnly: Bool = false) {
    source.api.call(
      KeyPages.range(query, keysOnly: keysOnly), source.members(), timeout: Self.callTimeout
    ) { [weak self] result in
      switch result {
      case .success(let answer):
        Self.answer(exchange, KeyPages.page(answer, keysOnly: keysOnly))
      case .failure(let error) where error.isOfSize && !keysOnly:
        self?.keys(query, exchange, keysOnly: true)
      case .failure(let error): Self.answer(exchange, FleetLife.refusal(error))
      }
    }
  }

  /// Written by a scenario: its styles stand in the page itself, scripts it has none.
  private func history(_ exchange: HTTPExchange) throws(PageGuard.Refusal) {
    guard
      let page = SystemFiles.bytes(
        of: source.scenarios.historyPage, bytesMax: Self.historyBytesMax)
    else { throw PageGuard.Refusal(404, "no scenario has ended yet") }
    var headers = PageGuard.headers
    headers.set(
      "Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'")
    headers.set("Content-Type", "text/html; charset=utf-8")
    exchange.extraHeaders = [:]
    exchange.respond(status: 200, headers: headers, body: Bytes(page))
  }
}
