import EtcdClient

/// The clients of a scenario, each pinned to one member.
struct ScenarioLoad: Sendable {
  let load: Scenario.Load
  let seed: UInt64
  let clients: [ScenarioClient]
  let recorder: HistoryRecorder

  /// - Parameters:
  ///   - members: their names.
  ///   - endpoints: where their clients go, one for each.
  ///   - configuration: of clients, without endpoints.
  init(
    _ load: Scenario.Load, seed: UInt64, members: [String], endpoints: [String],
    configuration: EtcdClientConfiguration, recorder: HistoryRecorder
  ) throws(EtcdClientError) {
    self.load = load
    self.seed = seed
    self.recorder = recorder
    var configuration = configuration
    configuration.requestTimeout = ScenarioClient.requestTimeout
    configuration.dialTimeout = .seconds(1)
    var clients: [ScenarioClient] = []
    for number in 0..<load.clients {
      let place = number % members.count
      configuration.endpoints = [endpoints[place]]
      clients.append(
        ScenarioClient(
          number: number, member: members[place], etcd: try EtcdClient(configuration),
          recorder: recorder))
    }
    self.clients = clients
  }

  /// Clients that watch: every second one.
  private func watches(_ client: ScenarioClient) -> Bool {
    switch load.kind {
    case .watch: client.number % 2 == 1
    case .mixed: client.number % 6 == 5
    default: false
    }
  }

  var watchers: [Watcher] { clients.filter(watches).map(Watcher.init) }

  private func work(_ client: ScenarioClient) -> any ScenarioWork {
    let random = SplitMix(state: seed &+ UInt64(client.number) &* 0x1234_5678_9abc_def1)
    let kinds: [Scenario.Load.Kind] = [.register, .append, .set, .lease, .lock]
    // checked: a constant above 0
    let kind = load.kind == .mixed ? kinds[client.number % 6 % kinds.count] : load.kind
    return switch kind {
    case .register, .watch, .mixed: RegisterWork(client, keys: load.keys, random)
    case .append: AppendWork(client, keys: load.keys, random)
    case .set: SetWork(client)
    case .lease: LeaseWork(client, random)
    case .lock: LockWork(client, names: load.keys, random)
    }
  }

  /// Works until a time. Requests under way are ended by their own timeouts, waiting for locks by cancelling.
  func run(until end: UInt64) async {
    let workers = clients.filter { !watches($0) }
    // checked: a rate of 1 at least
    let pause = Duration.nanoseconds(1_000_000_000 * workers.count / load.rate)
    let deadline = recorder.instant(at: end)
    await withTaskGroup(of: Void.self) { group in
      for client in workers {
        group.addTask {
          var work = work(client)
          // They begin one after another, as they go on.
          var next = recorder.instant(at: 0) + pause * client.number / workers.count
          while .now < deadline, !Task.isCancelled {
            try? await Task.sleep(until: next)
            await work.next()
            next = max(next + pause, .now)
          }
        }
      }
      group.addTask {
        try? await Task.sleep(until: deadline + ScenarioClient.requestTimeout)
      }
      for _ in workers { await group.next() }
      group.cancelAll()
    }
  }

  /// Reads what is left, and writes what watchers wait for, once the cluster is well again.
  func finish() async {
    guard let client = clients.first else { return }
    let keys = recorder.keys
    let lists = keys.filter { $0.hasPrefix(AppendWork.prefix) }
    let registers = keys.filter { $0.hasPrefix(WatchVerdict.prefix) }
    if !lists.isEmpty {
      _ = await client.read(lists, in: .prefix(Bytes(AppendWork.prefix)), areLists: true)
    }
    if !registers.isEmpty {
      _ = await client.read(registers, in: .prefix(Bytes(WatchVerdict.prefix)))
    }
    if load.kind == .set || load.kind == .mixed { await SetWork.look(client) }
    if !watchers.isEmpty { _ = await client.put(Watcher.lastKey, recorder.newValue()) }
  }

  func close() { for client in clients { client.etcd.close() } }
}
