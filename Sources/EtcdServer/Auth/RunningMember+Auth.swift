import Auth
import Bytes
import Calls
import EtcdAPI
import EtcdConfig
import EventLoops
import MVCC
import Member

/// What the services ask about a call's user. On the member's loop.
///
/// While auth is off everything here answers at once and looks at nothing.
extension RunningMember {
  typealias CallerHandler = (Result<AuthInfo?, EtcdError>) -> Void

  /// Who calls: `nil` without a token or a name in a certificate, or while auth is off. Waits when the
  /// token may be newer than what is applied here.
  func identify(_ caller: Caller, _ done: @escaping CallerHandler) {
    guard access.isEnabled else { return done(.success(nil)) }
    guard let token = AccessControl.token(in: caller.metadata) else {
      return done(.success(access.holder(of: caller)))
    }
    switch access.read(token) {
    case .known(let info): done(.success(info))
    case .invalid: done(.failure(.invalidAuthToken))
    case .awaits(let index): identify(token, after: index, done)
    }
  }

  /// Looks a token up once the entry that it names is applied. Answers of the core come behind the
  /// tokens of the same turn.
  private func identify(_ token: String, after index: LogIndex, _ done: @escaping CallerHandler) {
    requests.awaitApplied(index) { result in
      if case .failure(.tooManyRequests) = result { return done(.failure(.tooManyRequests)) }
      if let info = self.holder(of: token) { return done(.success(info)) }
      guard self.access.isEnabled else { return done(.success(nil)) }
      guard case .success = result, self.host.status.appliedIndex <= index else {
        return done(.failure(.invalidAuthToken))
      }
      // Another member may have named the index before the entry that assigned the token.
      self.requests.read { result, _ in
        if case .failure(let error) = result { return done(.failure(error)) }
        if let info = self.holder(of: token) { return done(.success(info)) }
        done(self.access.isEnabled ? .failure(.invalidAuthToken) : .success(nil))
      }
    }
  }

  private func holder(of token: String) -> AuthInfo? {
    if case .known(let info) = access.read(token) { return info }
    return nil
  }

  /// Checks the caller of a read against the users and roles of the very state that is read.
  /// - Parameter auth: users and roles of that state.
  /// - Parameter check: with the users and roles and who calls.
  /// - Parameter done: called with what is wrong, or `nil`.
  func permitRead(
    _ auth: AuthStore, _ caller: Caller,
    _ check: @escaping (AuthStore, AuthInfo) throws(EtcdError) -> Void,
    _ done: @escaping (EtcdError?) -> Void
  ) {
    identify(caller) { result in
      do throws(EtcdError) {
        var user = try result.get() ?? .nobody
        if self.access.followsRevision, user.revision != 0 {
          user = AuthInfo(username: user.username, revision: auth.revision)
        }
        try check(auth, user)
        guard user.revision == 0 || user.revision == auth.revision else {
          throw .authOldRevision
        }
        done(nil)
      } catch { done(error) }
    }
  }

  /// Whether a caller may read keys, by the users and roles of now.
  func permitRead(
    _ keys: KeyInterval, _ caller: Caller, _ done: @escaping (EtcdError?) -> Void
  ) {
    permitRead(
      access.store, caller, { (store, user) throws(EtcdError) in try store.checkRead(keys, user) },
      done)
  }

  /// What a call needs beyond its request being well-formed.
  enum Need {
    /// A user, whichever.
    case user
    /// The root role.
    case admin
  }

  /// Calls `done` with what is wrong, or `nil`.
  func permit(_ need: Need, _ caller: Caller, _ done: @escaping (EtcdError?) -> Void) {
    guard access.isEnabled else { return done(nil) }
    identify(caller) { result in
      do throws(EtcdError) {
        let user = try result.get()
        switch need {
        case .user: try self.access.store.checkNamed(user)
        case .admin: try self.access.store.checkAdmin(user ?? .nobody)
        }
        done(nil)
      } catch { done(error) }
    }
  }

  /// Runs `body` when the caller may, or fails the call.
  /// - Parameter untranslated: the methods whose errors etcd sends as they are.
  func whenPermitted(
    _ need: Need, _ call: UnaryCall, untranslated: Bool = false, _ body: @escaping () -> Void
  ) {
    guard access.isEnabled else { return body() }
    permit(need, call.caller) { error in
      guard let error else { return body() }
      call.fail(GRPCStatus(untranslated ? error.untranslated : error))
    }
  }

  /// The same for a stream.
  func requirePermission(_ need: Need, _ caller: Caller) async throws(EtcdError) {
    let error: EtcdError? = await withCheckedContinuation { continuation in
      loop.execute { self.permit(need, caller) { continuation.resume(returning: $0) } }
    }
    if let error { throw error }
  }

  /// Whether the caller may read or write all keys that hang on a lease, or on every lease, as this
  /// member knows them. Root may, whatever they are.
  /// - Parameter lease: `nil` = every lease.
  /// - Source: etcd `checkLeaseRenew`, `checkLeaseTimeToLive`, `checkLeaseLeases` (3.5.28 and later).
  func permitLease(
    _ lease: LeaseID?, _ kind: AuthStore.Kind, _ caller: Caller,
    _ done: @escaping (EtcdError?) -> Void
  ) {
    guard access.isEnabled else { return done(nil) }
    identify(caller) { result in
      do throws(EtcdError) {
        guard let user = try result.get() else { throw .userEmpty }
        if (try? self.access.store.checkAdmin(user)) != nil { return done(nil) }
        self.requests.ask(.keys(lease)) { result in
          switch result {
          case .success(.keys(let keys, let auth)): self.check(keys, auth, kind, user, done)
          case .failure(let error): done(error)
          case .success: preconditionFailure("a question about keys is answered with keys")
          }
        }
      } catch { done(error) }
    }
  }

  private func check(
    _ keys: [LeaseKeys], _ auth: AuthStore, _ kind: AuthStore.Kind, _ user: AuthInfo,
    _ done: @escaping (EtcdError?) -> Void
  ) {
    var user = user
    if access.followsRevision {
      user = AuthInfo(username: user.username, revision: auth.revision)
    }
    let check: @Sendable () -> EtcdError? = { [user] in
      do throws(EtcdError) {
        for keys in keys { try auth.check(keys, kind, user) }
        return nil
      } catch { return error }
    }
    if keys.reduce(0, { $0 + $1.count }) <= ReadWorkers.keysOnLoop { return done(check()) }
    shared.readers.run(on: loop, check) { result in
      switch result {
      case .success(let error): done(error)
      case .failure(let error): done(error)
      }
    }
  }

  /// Puts a request into the log in the name of its caller.
  ///
  /// A request that meets newer users and roles than those its caller was looked up in changes
  /// nothing; it is tried again with the caller looked up anew, so that clients need not.
  /// - Parameter deadline: when to give that up, on the loop's clock; `nil` = a request's time from now.
  /// - Parameter done: the outcome; `failed` when the caller is unknown.
  func propose(
    _ field: RaftRequest.Field, _ bytes: Bytes, for caller: Caller,
    until deadline: UInt64? = nil,
    _ done: @escaping RequestTable.OutcomeHandler
  ) {
    let deadline = deadline ?? loop.now &+ config.requestTimeout.nanoseconds
    identify(caller) { result in
      let user: AuthInfo?
      do throws(EtcdError) { user = try result.get() } catch { return done(.failed(error), 0) }
      let id = self.requests.makeID()
      let data = RaftRequest.encode(field, bytes, id: id, caller: user)
      guard data.count <= self.config.maxRequestBytes else {
        return done(.failed(.requestTooLarge), 0)
      }
      self.requests.propose(id: id, data) { outcome, term in
        if case .failed(.authOldRevision) = outcome, user != nil, self.loop.now < deadline,
          self.access.followsRevision
        {
          return self.propose(field, bytes, for: caller, until: deadline, done)
        }
        done(outcome, term)
      }
    }
  }

  /// Whether another member spells tokens as etcd before 3.5.3 does.
  var hasOldTokenSpelling: Bool {
    peers.versions.values.contains { ServerVersion.isOlder($0, than: "3.5.3") }
  }
}
