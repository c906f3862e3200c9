import Bytes
import EtcdAPI
import Membership

/// Ids of members and clusters, derived as Go etcd derives them.
///
/// - Source: etcd `membership/member.go` computeMemberID, `cluster.go` genID.
public enum Identity {
  /// First 8 bytes, big-endian, of SHA-1(sorted peer URLs joined + token + decimal unix seconds).
  /// - Parameter seconds: only for members added to a running cluster.
  public static func memberID(peerURLs: [String], token: String, seconds: Int? = nil) -> MemberID {
    var text = peerURLs.sorted().joined() + token
    if let seconds { text += String(seconds) }
    return MemberID(first8(Digest.sha1(Bytes(text))))
  }

  /// First 8 bytes, big-endian, of SHA-1(member ids as 8 bytes each, ascending).
  public static func clusterID(members: [MemberID]) -> UInt64 {
    var writer = ByteWriter(capacity: members.count * 8)
    for id in members.sorted() { writer.appendBigEndian(id.rawValue) }
    return first8(Digest.sha1(writer.finish()))
  }

  private static func first8(_ digest: Bytes) -> UInt64 {
    var reader = ByteReader(digest)
    return reader.readBigEndian() ?? 0
  }
}
