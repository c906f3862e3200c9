import Bytes
import EtcdAPI
import JSON
import Membership
import Protobuf
import V2Store

/// Why the payload of a raft snapshot gives no state.
enum V2SnapshotError: Error, CustomStringConvertible {
  case document(V2DocumentError)
  case membership(MembershipError)

  var description: String {
    switch self {
    case .document(let error): error.description
    case .membership(let error): error.description
    }
  }
}

extension MemberCore {
  /// Whether users of the v2 API wrote something that is there in the state applied so far.
  public var holdsV2Keys: Bool { !applied.v2.holdsOnlyMembership }
}

extension MemberCore.Position {
  /// The position that a raft snapshot describes.
  init(_ snapshot: Raftpb.Snapshot) throws(V2SnapshotError) {
    do throws(V2DocumentError) { v2 = try V2Store(document: snapshot.data) } catch {
      throw .document(error)
    }
    do throws(MembershipError) { membership = try Membership(v2) } catch {
      throw .membership(error)
    }
    index = LogIndex(snapshot.metadata.index)
    term = Term(snapshot.metadata.term)
    confState = snapshot.metadata.confState
  }
}

/// Requests of the v2 API. They live in the raft snapshot and the log, not in the backend, so every
/// start applies them again.
extension MemberCore {
  /// Attributes of a member and the cluster version change the membership; everything else is the
  /// store's.
  mutating func applyV2(
    _ request: Etcdserverpb.Request, isReplay: Bool, _ out: inout MemberOutput
  ) {
    defer { reply(RequestID(request.id), .done, &out) }
    if request.isPlainPut {
      if request.path == "/0/version" {
        setClusterVersion(request.val, isReplay: isReplay, &out)
        return
      }
      if let member = request.publishedMember {
        // Go etcd ends itself at attributes that are not JSON; nothing sane proposes them.
        guard let value = try? JSONValue.parse(Bytes(request.val)) else { return }
        setAttributes(
          of: member, name: value["name"]?.string ?? "",
          clientURLs: (value["clientURLs"]?.array ?? []).compactMap(\.string),
          isReplay: isReplay, &out)
        return
      }
    }
    // A refusal is an answer like another; the store is the same on every member either way.
    _ = try? applied.v2.apply(request)
  }
}

extension Etcdserverpb.Request {
  fileprivate var isPlainPut: Bool {
    method == "PUT" && prevExist == nil && prevIndex == 0 && prevValue.isEmpty
  }

  /// The member whose attributes the request sets.
  fileprivate var publishedMember: MemberID? {
    let parts = path.split(separator: "/")
    guard parts.count == 4, parts[0] == "0", parts[1] == "members", parts[3] == "attributes" else {
      return nil
    }
    return UInt64(parts[2], radix: 16).map { MemberID($0) }
  }
}
