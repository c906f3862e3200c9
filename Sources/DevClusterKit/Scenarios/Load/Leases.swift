import EtcdClient

/// Makes leases, renews them for a while, and looks when their keys are gone.
struct LeaseWork: ScenarioWork {
  let client: ScenarioClient
  var random: SplitMix
  /// The least that etcd's members give with their usual timeouts.
  private static let seconds: Int64 = 2
  private static let renewalPause = Duration.milliseconds(700)
  private static let lookPause = Duration.milliseconds(100)
  /// Looks before a lease that does not end is left alone.
  private static let looksMax = 150

  init(_ client: ScenarioClient, _ random: SplitMix) {
    self.client = client
    self.random = random
  }

  mutating func next() async {
    let lease = Int64.random(in: 1...Int64.max / 2, using: &random)
    guard await hold(.grant(lease: lease, seconds: Int(Self.seconds)), lease) == .isThere(true)
    else { return }
    let key = "lease/\(lease)"
    guard case .wrote = await client.put(key, client.recorder.newValue(), lease: lease) else {
      return
    }
    for _ in 0..<Int.random(in: 0...2, using: &random) {
      try? await Task.sleep(for: Self.renewalPause)
      _ = await hold(.renew(lease: lease, seconds: Int(Self.seconds)), lease)
    }
    for _ in 0..<Self.looksMax where !Task.isCancelled {
      try? await Task.sleep(for: Self.lookPause)
      let outcome = await client.perform(.look(lease: lease)) {
        () async throws(EtcdClientError) in
        .isThere(!(try await client.etcd.kv.get(.key(Bytes(key)))).kvs.isEmpty)
      }
      if outcome == .isThere(false) { return }
    }
  }

  /// Grants or renews.
  private func hold(
    _ action: HistoryOperation.Action, _ lease: Int64
  ) async -> ScenarioClient.Outcome {
    await client.perform(action) { () async throws(EtcdClientError) in
      let seconds: Int64
      do throws(EtcdClientError) {
        if case .grant = action {
          seconds = try await client.etcd.leases.grant(ttl: Self.seconds, id: lease).ttl
        } else {
          seconds = try await client.etcd.leases.keepAliveOnce(lease).ttl
        }
      } catch {
        // An attempt that was repeated may find what the first one made.
        if error.etcdError == .leaseExists { return .unknown(error.description) }
        guard error.etcdError == .leaseNotFound else { throw error }
        return .isThere(false)
      }
      guard seconds >= Self.seconds else { throw .badAnswer("a lease for \(seconds) s only") }
      return .isThere(true)
    }
  }
}

/// Takes locks, writes under them and gives them back.
struct LockWork: ScenarioWork {
  let client: ScenarioClient
  let names: Int
  var random: SplitMix
  private static let seconds: Int64 = 3
  private static let writes = 3
  private static let pause = Duration.milliseconds(20)

  init(_ client: ScenarioClient, names: Int, _ random: SplitMix) {
    self.client = client
    self.names = names
    self.random = random
  }

  mutating func next() async {
    let name = "lock/\(Int.random(in: 1...names, using: &random))"
    let client = client
    // A session that cannot be had, or is lost, is one of the things that happen.
    try? await client.etcd.withSession(ttl: Self.seconds) { session in
      await Self.use(name, session, client)
    }
  }

  private static func use(
    _ name: String, _ session: EtcdClient.Session, _ client: ScenarioClient
  ) async {
    var held: EtcdClient.Lock?
    await client.perform(.lock(name: name)) { () async throws(EtcdClientError) in
      let lock = try await session.lock(Bytes(name))
      held = lock
      return .locked(token: lock.revision)
    }
    guard let lock = held else { return }
    for _ in 0..<writes where session.isAlive {
      await client.perform(.guarded(name: name, token: lock.revision)) {
        () async throws(EtcdClientError) in
        let write = Etcdserverpb.RequestOp(
          request: .requestPut(
            .init(key: Bytes("guarded/\(name)"), value: Bytes(String(lock.revision)))))
        let answer = try await client.etcd.kv.txn([lock.isHeld], success: [write])
        let revision = answer.header?.revision ?? 0
        return answer.succeeded ? .wrote(revision: revision) : .unchanged(revision: revision)
      }
      try? await Task.sleep(for: pause)
    }
    await unlock(name, lock, session, client)
  }

  private static func unlock(
    _ name: String, _ lock: EtcdClient.Lock, _ session: EtcdClient.Session,
    _ client: ScenarioClient
  ) async {
    let isSure = session.isAlive
    let called = client.recorder.now()
    let outcome: HistoryOperation.Outcome
    do throws(EtcdClientError) {
      try await lock.unlock()
      outcome = .isThere(false)
    } catch { outcome = ScenarioClient.outcome(of: error) }
    var operation = HistoryOperation(
      client: client.number, member: client.member,
      action: .unlock(name: name, token: lock.revision), called: called,
      ended: client.recorder.now(), outcome: outcome)
    operation.heldUntil =
      isSure ? called : min(called, client.recorder.time(of: session.validUntil))
    client.recorder.record(.operation(operation))
  }
}
