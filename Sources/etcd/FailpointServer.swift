#if FAILPOINTS
  import Bytes
  import EventLoops
  import Failpoints
  import GoText
  import HTTP
  import Platform

  /// Sets failpoints at the start, and while the member runs, as gofail does.
  ///
  /// - Source: gofail `runtime/http.go`: `GET /` lists, `GET`, `PUT` and `DELETE /NAME` read, set and switch off, `GET
  ///   /NAME/count` tells how often it was hit since, `PUT /failpoints` sets several.
  enum FailpointServer {
    private static let listVariable = "GOFAIL_FAILPOINTS"
    private static let addressVariable = "GOFAIL_HTTP"
    private static let bodyBytesMax = 64 << 10

    /// Does what the environment says; ends the process when it is not understood.
    static func start(_ logger: Logger) {
      logger.warn("this build has failpoints; it is for tests alone")
      let environment = ProcessEnvironment.variables
      if let list = environment[listVariable], !FailpointDesk.shared.set(list) {
        logger.fatal(
          "failed to parse failpoints", [LogField(listVariable, .string(list))])
      }
      guard let address = environment[addressVariable] else { return }
      guard let place = HostPort(address), let port = UInt16(place.port) else {
        logger.fatal("no address", [LogField(addressVariable, .string(address))])
      }
      let loop = EventLoop(name: "failpoints")
      loop.start()
      do throws(ChannelError) {
        let listener = try loop.run { () throws(ChannelError) in
          try Listener(
            loop: loop, endpoint: .tcp(host: place.host, port: Int(port)), policy: .plain,
            admission: ConnectionAdmission(limit: 32)
          ) { channel in
            // The channel keeps it.
            _ = HTTP1ServerConnection(channel: channel) { serve($0) }
            channel.start()
          }
        }
        // For as long as the process runs.
        _ = Unmanaged.passRetained(listener)
      } catch {
        logger.fatal("failed to serve failpoints", [LogField("error", .error(error))])
      }
    }

    private static func serve(_ exchange: HTTPExchange) {
      let name = String(exchange.request.target.drop { $0 == "/" })
      switch exchange.request.method {
      case "GET": exchange.respond(status: 200, body: Bytes(text(name)))
      case "PUT":
        exchange.collectBody(limit: bodyBytesMax) { body in
          guard case .success(let bytes) = body, set(name, bytes.string) else {
            return exchange.respond(
              status: 400, body: Bytes("failed to set failpoint \(name)\n"))
          }
          exchange.respond(status: 204)
        }
      case "DELETE":
        guard let point = Failpoint(rawValue: name) else {
          return exchange.respond(status: 400, body: Bytes("failed to delete failpoint \(name)\n"))
        }
        FailpointDesk.shared.set(point, nil)
        exchange.respond(status: 204)
      default: exchange.respond(status: 405, body: "Method not allowed\n")
      }
    }

    private static func text(_ name: String) -> String {
      let all = FailpointDesk.shared.all
      guard !name.isEmpty else {
        return Failpoint.allCases.map { "\($0.rawValue)=\(all[$0]?.terms.description ?? "")\n" }
          .joined()
      }
      let isCount = name.hasSuffix("/count")
      let point = Failpoint(rawValue: isCount ? String(name.dropLast(6)) : name)
      guard let point, let armed = all[point] else { return "" }
      return isCount ? "\(armed.hits)" : armed.terms.description + "\n"
    }

    private static func set(_ name: String, _ text: String) -> Bool {
      if name == "failpoints" { return FailpointDesk.shared.set(text) }
      guard let point = Failpoint(rawValue: name), let terms = FailpointTerms(text) else {
        return false
      }
      FailpointDesk.shared.set(point, terms)
      return true
    }
  }
#endif
