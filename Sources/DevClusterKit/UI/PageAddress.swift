import Bytes
import JSON
import Platform

/// Where the status page of a cluster is, and the token that opens it. Kept in the cluster's directory, where only
/// this user can read it, so that a bookmark outlives `down` and `up`.
struct PageAddress: Equatable, Sendable {
  var port: Int
  var token: String

  /// Without the token.
  var place: String { "http://127.0.0.1:\(port)/" }
  var url: String { "\(place)?token=\(token)" }

  /// 128 bits of chance.
  static func newToken() -> String {
    var chance = SystemRandomNumberGenerator()
    let words: [UInt64] = [chance.next(), chance.next()]
    return words.map { word in
      let digits = String(word, radix: 16)
      return String(repeating: "0", count: 16 - digits.count) + digits
    }.joined()
  }

  /// `nil` when there is none yet.
  init?(in directory: RunDirectory) {
    guard let text = System.read(directory.pageFile), let json = try? JSONValue.parse(text),
      let port = json["port"]?.integer(as: Int.self), (1...65_535).contains(port),
      let token = json["token"]?.string, token.utf8.count == 32
    else { return nil }
    self.init(port: port, token: token)
  }

  init(port: Int, token: String) {
    self.port = port
    self.token = token
  }

  /// Writes the address, and a page that leads to it: a browser that is started with that file's path shows the
  /// token to nobody who lists processes.
  func save(in directory: RunDirectory) throws(DevClusterError) {
    let object: JSONObject = ["port": .integer(port), "token": .string(token)]
    try System.replace(directory.pageFile, JSONValue.object(object).encoded().string + "\n")
    try System.replace(
      directory.pageOpener,
      """
      <!doctype html><meta charset="utf-8"><title>devcluster</title>
      <meta http-equiv="refresh" content="0;url=\(url)"><a href="\(url)">the status page</a>

      """)
  }

  /// Ports to try: the one that was asked for, or the last one and then others, none of which the system takes
  /// for outgoing connections.
  static func ports(asked: Int?, last: Int?, pick: (Int) -> Int) -> [Int] {
    if let asked { return [asked] }
    let range = PortSearch.range(ephemeral: PortSearch.ephemeralRange())
    let others = (0..<50).map { _ in
      range.lowerBound + pick(range.upperBound - range.lowerBound + 1)
    }
    return (last.map { [$0] } ?? []) + others
  }
}
