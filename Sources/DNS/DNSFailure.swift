/// Why a name has no records, in the words of Go's resolver.
package struct DNSFailure: Error, Equatable, CustomStringConvertible {
  package enum Reason: Equatable, Sendable {
    case notFound
    case timeout
    /// It answers, but not the question.
    case misbehaves
    case refused
    /// Names in the answer are none.
    case invalidNames
    case other(String)
  }

  /// The name that was asked for.
  package let name: String
  /// The first server that is asked, with its port; empty where none is known.
  package let server: String
  package let reason: Reason

  package init(name: String, server: String = "", reason: Reason) {
    self.name = name
    self.server = server
    self.reason = reason
  }

  package var description: String {
    "lookup \(name)" + (server.isEmpty ? "" : " on \(server)") + ": \(words)"
  }

  private var words: String {
    switch reason {
    case .notFound: "no such host"
    case .timeout: "i/o timeout"
    case .misbehaves: "server misbehaving"
    case .refused: "connection refused"
    case .invalidNames: "DNS response contained records which contain invalid names"
    case .other(let words): words
    }
  }
}
