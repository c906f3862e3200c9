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

/// A question about the v2 store.
public struct V2Question: Sendable {
  public enum Kind: Sendable {
    /// The node at a path, with its children or with everything below it.
    case node(path: String, isRecursive: Bool)
    case stats
  }

  public let id: RequestID
  public let kind: Kind

  public init(id: RequestID, _ kind: Kind) {
    self.id = id
    self.kind = kind
  }
}

/// What a request or a question of the v2 API gave.
public enum V2Answer: Sendable {
  case event(V2Event)
  case found(V2Store.Found)
  case stats(V2Stats)
  case refused(V2Error)
}

/// What happened in the v2 store in a turn.
public struct V2News: Sendable {
  public init() {}
  /// The store was put in place of another, as at the start.
  public struct Replacement: Sendable {
    /// The store's index then.
    public let index: UInt64
    /// Whether users of the v2 API are checked.
    public let hasAuth: Bool
    /// What happened before.
    public let history: V2History
  }

  public var replacement: Replacement?
  /// What came then.
  public var events: [V2Event] = []
  /// What was asked and done, for metrics.
  public var activity = V2Activity()

  public var isEmpty: Bool { replacement == nil && events.isEmpty && activity.isEmpty }
}

extension V2News.Replacement {
  init(_ store: V2Store) {
    index = store.index
    history = store.history
    hasAuth = store.value(at: V2News.authPath) == "true"
  }
}

extension V2News {
  /// Holds `true` while users of the v2 API are checked.
  /// - Source: etcd `v2auth`, `StorePermsPrefix`.
  public static let authPath = "/2/enabled"
}

extension MemberCore {
  mutating func ask(_ questions: [V2Question], _ out: inout MemberOutput) {
    for question in questions {
      out.replies.append(Reply(id: question.id, outcome: .v2(answer(question.kind))))
    }
  }

  private mutating func answer(_ kind: V2Question.Kind) -> V2Answer {
    switch kind {
    case .stats: return .stats(applied.v2.stats)
    case .node(let path, let isRecursive): return find(path, isRecursive: isRecursive)
    }
  }

  private mutating func find(_ path: String, isRecursive: Bool) -> V2Answer {
    do throws(V2Error) {
      return .found(try applied.v2.find(path, isRecursive: isRecursive))
    } catch { return .refused(error) }
  }

  /// The index of the v2 store in the state applied so far: the same on every member.
  public var v2Index: UInt64 { applied.v2.index }

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
    if request.isPlainPut {
      if request.path == "/0/version" {
        setClusterVersion(request.val, isReplay: isReplay, &out)
        return reply(RequestID(request.id), .done, &out)
      }
      if let member = request.publishedMember {
        // Go etcd ends itself at attributes that are not JSON; nothing sane proposes them.
        defer { reply(RequestID(request.id), .done, &out) }
        guard let value = try? JSONValue.parse(Bytes(request.val)) else { return }
        setAttributes(
          of: member, name: value["name"]?.string ?? "",
          clientURLs: (value["clientURLs"]?.array ?? []).compactMap(\.string),
          isReplay: isReplay, &out)
        return
      }
    }
    // A refusal is an answer like another; the store is the same on every member either way.
    let outcome: Outcome
    if request.method == "QGET" {
      outcome = .v2(find(request.path, isRecursive: request.recursive))
    } else {
      do throws(V2Error) {
        // Whoever asks to end what is over hears of no single event.
        let now = config.applyObserver?.timeOfDay
        outcome = try applied.v2.apply(request, now: now).first.map { .v2(.event($0)) } ?? .done
      } catch { outcome = .v2(.refused(error)) }
    }
    reply(RequestID(request.id), outcome, &out)
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
