import Bytes
import EtcdAPI
import GoText

/// What names a cluster that is to be, in a registry of v3 keys: `/_etcd/registry/TOKEN/…`. Pure.
///
/// - Source: etcd 3.6 `server/etcdserver/api/v3discovery/discovery.go`.
package struct RegistryToken: Equatable, Sendable {
  /// Where members of etcd 3.6 look for tokens.
  package static let root = "/_etcd/registry/"
  /// Seconds: a week.
  package static let lifeByDefault: Int64 = 7 * 24 * 3600
  /// Nanoseconds that one lives at least, unless for ever.
  private static let lifeMin: Int64 = 60_000_000_000
  /// Far more than a cluster has members.
  package static let sizeMax = 100
  /// Who may come beyond the size of a cluster: those who find it full do not enter, but may do so at the same time.
  static let surplusMax = 50
  /// Characters of a token, and of whatever else is a part of a key.
  package static let nameMax = 64

  package let text: String
  private let root: String

  /// - Parameter root: what keys begin with, with a slash at its end.
  /// - Returns: `nil` for what cannot be a part of a key and of a URL.
  package init?(_ text: String, root: String = RegistryToken.root) {
    guard Self.isName(text) else { return nil }
    self.text = text
    self.root = root
  }

  /// Seconds of a life as Go writes durations; 0 for ever.
  /// - Returns: `nil` for what is no duration, or shorter than a minute.
  package static func life(_ duration: String) -> Int64? {
    guard let life = try? GoDuration.parse(duration), life == 0 || life >= lifeMin else {
      return nil
    }
    return life / 1_000_000_000
  }

  /// One that nobody can guess.
  package static func random(root: String = RegistryToken.root) -> RegistryToken {
    var random = SystemRandomNumberGenerator()
    let text = (0..<2).map { _ in random.next().hex16 }.joined()
    guard let token = RegistryToken(text, root: root) else {
      preconditionFailure("32 digits are a name")
    }
    return token
  }

  /// All that belongs to the cluster.
  package var directory: String { root + text + "/" }
  /// How many members the cluster is to have.
  package var sizeKey: String { directory + "_config/size" }

  /// What makes the token, unless it is there already; then the answer has its size instead.
  /// - Parameter lease: what its size ends with; 0 for never.
  package func creation(size: Int, lease: Int64) -> Etcdserverpb.TxnRequest {
    let key = Bytes(sizeKey)
    return Etcdserverpb.TxnRequest(
      compare: [
        Etcdserverpb.Compare(result: .equal, target: .version, key: key, targetUnion: .version(0))
      ],
      success: [
        Etcdserverpb.RequestOp(
          request: .requestPut(
            Etcdserverpb.PutRequest(key: key, value: Bytes("\(size)"), lease: lease)))
      ],
      failure: [
        Etcdserverpb.RequestOp(request: .requestRange(Etcdserverpb.RangeRequest(key: key)))
      ])
  }

  static func isName(_ text: String) -> Bool {
    !text.isEmpty && text.utf8.count <= nameMax
      && text.utf8.allSatisfy {
        (48...57).contains($0) || (65...90).contains($0) || (97...122).contains($0) || $0 == 95
          || $0 == 45
      }
  }
}
