import HTTP

/// Who may ask the status page's server. Pure.
///
/// Any page of the web can have a browser send requests to 127.0.0.1, and a name of its own lead there (DNS
/// rebinding). So the host must be ours by number or as `localhost`, all of the interface wants a token that only
/// this user can read, and what changes anything must come from the page itself.
struct PageGuard: Sendable {
  /// 128 bits, in hexadecimal.
  let token: String
  let port: Int

  /// Cookies are those of a host, whatever the port: each cluster has a name of its own.
  var cookie: String { "devcluster-\(port)" }
  private var hosts: [String] { ["127.0.0.1:\(port)", "localhost:\(port)"] }

  /// What is refused, with the status and a sentence.
  struct Refusal: Error, Equatable {
    let status: Int
    let text: String

    init(_ status: Int, _ text: String) {
      self.status = status
      self.text = text
    }
  }

  /// Whether the request was meant for us.
  func checkHost(_ head: HTTPRequestHead) throws(Refusal) {
    let given = head.headers.all("host")
    guard given.count == 1, hosts.contains(given[0]), head.target.hasPrefix("/") else {
      throw Refusal(
        421,
        "this is the status page of a devcluster at http://127.0.0.1:\(port)/, not another host")
    }
  }

  /// Whether who asks knows the token: a cookie, or `Authorization: Bearer TOKEN` of a program.
  func checkToken(_ head: HTTPRequestHead) throws(Refusal) {
    if let bearer = head.headers["authorization"], bearer.hasPrefix("Bearer "),
      isToken(bearer.dropFirst("Bearer ".count))
    {
      return
    }
    let cookies = head.headers.all("cookie").flatMap { $0.split(separator: ";") }
    for pair in cookies.map(\.withoutOptionalSpace) where pair.hasPrefix(cookie + "=") {
      if isToken(pair.dropFirst(cookie.count + 1)) { return }
    }
    throw Refusal(
      403, "open the URL that devcluster up --ui printed, or run devcluster open")
  }

  /// Whether what would change something comes from the page itself; programs name no origin.
  func checkOrigin(_ head: HTTPRequestHead) throws(Refusal) {
    let origins = head.headers.all("origin")
    let isProgram = origins.isEmpty && head.headers["authorization"] != nil
    let isOwn = origins.count == 1 && hosts.contains { origins[0] == "http://\($0)" }
    guard isProgram || isOwn else {
      throw Refusal(403, "only the page itself may change the cluster")
    }
  }

  /// In a time that says nothing of where they differ.
  func isToken(_ given: some StringProtocol) -> Bool {
    let (a, b) = (Array(given.utf8), Array(token.utf8))
    guard a.count == b.count else { return false }
    return zip(a, b).reduce(UInt8(0)) { $0 | ($1.0 ^ $1.1) } == 0
  }

  /// Lets the browser remember the token; no script can read it, and no other site has it sent.
  var setCookie: String { "\(cookie)=\(token); Path=/; HttpOnly; SameSite=Strict" }

  /// What every answer says: nothing but our own files, in nobody's frame, kept nowhere.
  static let headers: HTTPHeaders = [
    "Content-Security-Policy":
      "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self';"
      + " base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer", "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin", "Cache-Control": "no-store",
  ]
}
