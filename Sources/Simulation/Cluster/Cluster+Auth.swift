import Auth
import Bytes
import Checkers
import EtcdAPI
import Member
import Protobuf
import Raft

/// An operator who turns auth on and takes rights away and gives them back, and what follows from it.
struct AuthWorld {
  enum Step: Hashable {
    case addUser(String)
    case addRole
    case permit
    case grant(String, role: String)
    case revoke(String)
    case enable
  }

  /// A time in which a user has no rights. Positions are those in the order of calls and returns.
  struct Revocation {
    let user: String
    /// Revision of the data when it was applied; `nil` when its answer was lost.
    let after: Int64?
    let acknowledged: Int
    /// When the right was asked for again, and the revision at which it came back, if that was heard.
    var grantCalled: Int?
    var until: Int64?
  }

  static let role = "writer"
  /// Has its rights all the time.
  static let steady = "steady"

  var script: [Step] = [
    .addUser(AuthStore.root), .grant(AuthStore.root, role: AuthStore.root), .addRole, .permit,
    .addUser(steady), .grant(steady, role: role),
    .addUser("fickle1"), .grant("fickle1", role: role), .enable,
  ]
  var call: (number: RequestID, time: Int, isFirst: Bool)?
  /// Number of the user whose rights come and go. One whose grant was not heard of is given up: a late
  /// grant would look like a right that outlived its revocation.
  var fickleNumber = 1
  var revocations: [Revocation] = []
  var hasRepeated = false

  var fickle: String { "fickle\(fickleNumber)" }
}

/// No request of a user is served after its rights were revoked.
extension Cluster {
  private static let authPatience = 40 * tickUnits

  /// In whose name a client asks; `nil` while the member asks for none.
  func caller(_ client: Int, at member: SimulatedMember) -> AuthInfo? {
    guard options.auth, member.clientAuth.isEnabled else { return nil }
    let name = client.isMultiple(of: 2) ? AuthWorld.steady : authWorld.fickle
    return AuthInfo(username: name, revision: member.clientAuth.revision)
  }

  /// What the operator, and clients with leases, ask as.
  func header(_ number: RequestID, at member: SimulatedMember) -> Etcdserverpb.RequestHeader {
    guard member.clientAuth.isEnabled else {
      return Etcdserverpb.RequestHeader(id: number.rawValue)
    }
    return Etcdserverpb.RequestHeader(
      id: number.rawValue, username: AuthStore.root, authRevision: member.clientAuth.revision)
  }

  func stepAuth() {
    guard callsAllowed else { return }
    queue.add(.authStep, at: now + 1 + random.below(6 * Self.tickUnits))
    if let call = authWorld.call {
      guard now - call.time > Self.authPatience else { return }
      authWorld.call = nil
      guard forgetGrant() else {
        authWorld.hasRepeated = true
        return
      }
    }
    if authWorld.script.isEmpty {
      let user = authWorld.fickle
      authWorld.script = [.revoke(user), .grant(user, role: AuthWorld.role)]
      if chance(oneIn: 4) { authWorld.script.append(.permit) }
    }
    let id = ids[random.below(ids.count)]
    guard let member = nodes[id]!.member, let step = authWorld.script.first else { return }
    let number = member.makeRequestID()
    authWorld.call = (number, now, !authWorld.hasRepeated)
    clock += 1
    if case .grant(let user, _) = step {
      for place in authWorld.revocations.indices
      where authWorld.revocations[place].user == user
        && authWorld.revocations[place].grantCalled == nil
      {
        authWorld.revocations[place].grantCalled = clock
      }
    }
    var request = Etcdserverpb.InternalRaftRequest(header: header(number, at: member))
    step.fill(&request)
    post(.propose([Proposal(id: number, data: request.encoded())]), to: id)
  }

  /// Goes on with another user when nobody knows whether this one was granted its role.
  /// - Returns: whether that was so.
  private func forgetGrant() -> Bool {
    guard case .grant(let user, _) = authWorld.script.first, user == authWorld.fickle else {
      return false
    }
    authWorld.fickleNumber += 1
    let next = authWorld.fickle
    authWorld.script.replaceSubrange(
      0..<1, with: [.addUser(next), .grant(next, role: AuthWorld.role)])
    return true
  }

  /// - Returns: whether the reply is one to the operator.
  func answerAuth(_ reply: Reply) -> Bool {
    guard let call = authWorld.call, call.number == reply.id else { return false }
    authWorld.call = nil
    let step = authWorld.script[0]
    var revision: Int64?
    switch reply.outcome {
    case .auth(_, let shown): revision = call.isFirst ? shown : nil
    case .failed(let error)
    where error == .userExists || error == .roleExists || error == .roleNotGranted: break
    default:
      if !forgetGrant() { authWorld.hasRepeated = true }
      return true
    }
    clock += 1
    counters.authChanges += 1
    trace("auth: \(step) at revision \(revision ?? -1)")
    switch step {
    case .revoke(let user):
      authWorld.revocations.append(
        AuthWorld.Revocation(user: user, after: revision, acknowledged: clock))
    case .grant(let user, _):
      if let last = authWorld.revocations.lastIndex(where: { $0.user == user }) {
        authWorld.revocations[last].until = revision
      }
    default: break
    }
    authWorld.script.removeFirst()
    authWorld.hasRepeated = false
    return true
  }

  /// Looks for requests that were served although their user had no rights.
  func checkRevocations() {
    for revocation in authWorld.revocations {
      for operation in history where operation.user == revocation.user {
        guard let served = operation.servedRevision, let returned = operation.returned else {
          continue
        }
        let isBeforeGrant = returned < revocation.grantCalled ?? Int.max
        var isLate = operation.called > revocation.acknowledged && isBeforeGrant
        if let after = revocation.after, served > after {
          // A read of the revision at which the right came back may have come behind it.
          let last = (revocation.until ?? 0) - (operation.made(served) ? 0 : 1)
          isLate = isLate || isBeforeGrant || served <= last
        }
        if isLate {
          problems.append(
            "\(operation.request) of \(revocation.user) was served at revision \(served), rights were "
              + "revoked at \(revocation.after ?? -1)")
        }
      }
    }
  }
}

extension Operation {
  /// Whether it is the write that made a revision.
  fileprivate func made(_ revision: Int64) -> Bool {
    if case .wrote(revision) = result { true } else { false }
  }

  /// Revision at which it was served as something that needs rights; `nil` when it was not.
  fileprivate var servedRevision: Int64? {
    switch request {
    case .compact, .past: return nil
    default: break
    }
    guard isLinearizable else { return nil }
    switch result {
    case .wrote(let revision), .unchanged(let revision), .read(let revision, _): return revision
    case .refused, nil: return nil
    }
  }
}

extension AuthWorld.Step {
  fileprivate func fill(_ request: inout Etcdserverpb.InternalRaftRequest) {
    switch self {
    case .addUser(let name):
      request.authUserAdd = Etcdserverpb.AuthUserAddRequest(
        name: name, options: Authpb.UserAddOptions(noPassword: true))
    case .addRole:
      request.authRoleAdd = Etcdserverpb.AuthRoleAddRequest(name: AuthWorld.role)
    case .permit:
      request.authRoleGrantPermission = Etcdserverpb.AuthRoleGrantPermissionRequest(
        name: AuthWorld.role,
        perm: Authpb.Permission(permType: .readwrite, key: "k", rangeEnd: Bytes([UInt8(0)])))
    case .grant(let user, let role):
      request.authUserGrantRole = Etcdserverpb.AuthUserGrantRoleRequest(user: user, role: role)
    case .revoke(let user):
      request.authUserRevokeRole = Etcdserverpb.AuthUserRevokeRoleRequest(
        name: user, role: AuthWorld.role)
    case .enable: request.authEnable = Etcdserverpb.AuthEnableRequest()
    }
  }
}
