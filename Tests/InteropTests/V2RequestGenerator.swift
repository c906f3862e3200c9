import TestSupport

/// Requests of the v2 API by chance, right and wrong ones.
struct V2RequestGenerator {
  var random: SeededGenerator
  /// The store's index, about.
  var index = 1

  /// What is asked for.
  var keys = Self.keys

  static let keys = [
    "/a", "/a/b", "/a/b/c", "/_h", "/_h/x", "/a/_s", "/a/_s/y", "/d", "/", "", "/d/e", "/%ff%fe",
    "/sp%20ce", "/%C3%A9", "/a/", "/0", "/1", "/q",
  ]

  mutating func chance(_ n: Int) -> Bool { Int.random(in: 0..<n, using: &random) == 0 }

  mutating func one(of values: [String]) -> String {
    values[Int.random(in: 0..<values.count, using: &random)]
  }

  mutating func next() -> V2Request {
    var request = V2Request()
    request.method = one(of: [
      "GET", "GET", "GET", "PUT", "PUT", "PUT", "PUT", "POST", "DELETE", "DELETE", "HEAD",
      "PATCH",
    ])
    let near = String(max(1, index - Int.random(in: 0..<9, using: &random)))
    let parameters: [(name: String, oneIn: Int, values: [String])] = [
      ("recursive", 7, ["true", "false", "1", "x", ""]), ("sorted", 10, ["true", "x"]),
      ("dir", 7, ["true", "false", "maybe"]), ("quorum", 10, ["true", "false"]),
      ("prevExist", 5, ["true", "false", "z"]),
      ("prevIndex", 9, [near, near, "0", "-1", "x", "18446744073709551616"]),
      ("prevValue", 9, ["v1", "v2", "", "%3C%26%3E"]),
      // None that ends while the requests run: when is each server's own affair.
      ("ttl", 8, ["100000", "", "x", "-1", "99999999"]),
      ("refresh", 12, ["true", "false", "q"]), ("noValueOnSuccess", 20, ["true", "x"]),
      ("wait", request.method == "GET" ? 1_000_000 : 40, ["true", "q"]),
      ("waitIndex", 30, ["x", "5"]),
    ]
    var query: [String] = []
    for parameter in parameters where chance(parameter.oneIn) {
      query.append("\(parameter.name)=\(one(of: parameter.values))")
    }
    if chance(60) { query.append(one(of: ["a=%zz", "%4"])) }
    request.target =
      "/v2/keys" + one(of: keys) + (query.isEmpty ? "" : "?" + query.joined(separator: "&"))
    if ["PUT", "POST"].contains(request.method), !chance(7) {
      request.form = one(of: [
        "value=v1", "value=v2", "value=", "value=%3C%26%3E", "value=%C3%BC", "",
      ])
    }
    if chance(12) { request.type = one(of: ["text/plain", request.type + "; charset=utf-8"]) }
    return request
  }

  /// A write that most often succeeds.
  mutating func nextWrite() -> V2Request {
    let key = one(of: ["/a/b/c", "/_h/x", "/a/_s/y", "/d/e", "/sp%20ce", "/%C3%A9", "/q"])
    return V2Request(
      method: key == "/q" ? "POST" : chance(9) ? "DELETE" : "PUT", target: "/v2/keys" + key,
      form: "value=v\(index)")
  }

  /// Somebody waits: for what happened already, was forgotten, or is still to come.
  mutating func nextWait() -> V2Request {
    let since = [
      index - Int.random(in: 0..<40, using: &random),
      index - Int.random(in: 0..<990, using: &random),
      index - 1_010, 0, index + 3,
    ]
    var query = ["wait=true", "waitIndex=\(max(0, since.randomElement(using: &random)!))"]
    if !chance(3) { query.append("recursive=true") }
    if chance(5) { query.append("stream=true") }
    if chance(20) { query.append("quorum=true") }
    return V2Request(
      target: "/v2/keys" + one(of: keys) + "?" + query.joined(separator: "&"))
  }

  /// What nobody, or somebody, asks while users are checked.
  mutating func nextOfUser() -> V2Request {
    var request = next()
    if chance(40) { request.user = one(of: ["root:pw", "root:no", "ann:pw", "none:pw"]) }
    return request
  }
}
