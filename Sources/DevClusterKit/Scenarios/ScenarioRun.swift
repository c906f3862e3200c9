import Bytes
import EtcdClient
import GoText
import JSON
import Platform

/// Runs a scenario on a cluster that runs: load, steps, the way back, and the history of it.
struct ScenarioRun: Sendable {
  let scenario: Scenario
  let header: History.Header
  let plan: ClusterPlan
  let directory: RunDirectory
  /// Where clients go, one for each member; empty for the members themselves.
  let through: [String]
  let recorder: HistoryRecorder
  let tell: @Sendable (String) -> Void

  /// How long watchers have to come to the end.
  private static let watchPatience = Duration.seconds(15)

  /// What `run` does, for tasks.
  func result() async -> Result<History, DevClusterError> {
    do throws(DevClusterError) { return .success(try await run()) } catch { return .failure(error) }
  }

  private func run() async throws(DevClusterError) -> History {
    let seed = header.seed
    let steps = scenario.steps(seed: seed)
    let control = OrderThread(directory: directory)
    let configuration = EtcdClientConfiguration(plan)
    let voters = plan.members.filter { $0.startsWithCluster && !$0.isLearner }
    let endpoints = voters.indices.map { place in
      through.isEmpty ? voters[place].clientURL : through[place % through.count]
    }
    recorder.record(.header(header))
    let load: ScenarioLoad
    do throws(EtcdClientError) {
      load = try ScenarioLoad(
        scenario.load, seed: seed, members: voters.map(\.name), endpoints: endpoints,
        configuration: configuration, recorder: recorder)
    } catch { throw DevClusterError("cannot make clients: \(error)") }
    defer { load.close() }
    let stepper = StepRunner(control: control, recorder: recorder, seed: seed, tell: tell)
    let settler = ClusterSettler(control: control, recorder: recorder)
    let length = scenario.length(of: steps)
    let end = await withTaskGroup(of: Void.self) { group in
      for watcher in load.watchers { group.addTask { await watcher.run() } }
      async let stepping: Void = stepper.run(steps)
      await load.run(until: length)
      await stepping
      var end = History.End(loadEnded: recorder.now(), time: 0)
      end.failure = await settler.settle()
      await load.finish()
      group.addTask { try? await Task.sleep(for: Self.watchPatience) }
      for _ in load.watchers { await group.next() }
      group.cancelAll()
      return end
    }
    recorder.record(.end(await ended(end, settler, configuration)))
    importEvents()
    return recorder.finish()
  }

  private func ended(
    _ end: History.End, _ settler: ClusterSettler, _ configuration: EtcdClientConfiguration
  ) async -> History.End {
    var end = end
    switch await settler.hashes(configuration) {
    case .success(let hashes): end.hashes = hashes
    case .failure(let error): end.failure = end.failure ?? error.description
    }
    end.time = recorder.now()
    return end
  }

  /// What the supervisor's log says of the time since the load began, and who led before.
  private func importEvents() {
    let kinds = [
      "leader", "no-leader", "exit", "spawn", "pause", "resume", "heal", "alarm", "alarm-cleared",
      "problem",
    ]
    guard let text = SystemFiles.bytes(of: directory.eventLog) else { return }
    var before: HistoryEvent?
    for line in text.split(separator: 0x0a) {
      guard let json = try? JSONValue.parse(Bytes(line)), let kind = json["kind"]?.string,
        kinds.contains(kind),
        let at = CivilTime(rfc3339: json["time"]?.string ?? "")?.nanosecondsSinceEpoch
      else { continue }
      // checked: both are times of these days
      let time = Int(at - recorder.startedAt)
      let event = HistoryEvent(
        kind, at: max(0, time), json["text"]?.string ?? "", member: json["member"]?.string)
      if time >= 0 {
        if let first = before { recorder.record(.event(first)) }
        before = nil
        recorder.record(.event(event))
      } else if kind == "leader" {
        before = event
      }
    }
    if let before { recorder.record(.event(before)) }
  }
}

extension EtcdClientConfiguration {
  /// How clients speak to a cluster, as root; endpoints are missing.
  init(_ plan: ClusterPlan) {
    self.init(endpoints: [])
    switch plan.security {
    case .none: break
    case .auto: tls = TLS(insecureSkipVerify: true)
    case .own:
      tls = TLS(
        certificateFile: plan.certificates.certificate(.client),
        keyFile: plan.certificates.key(.client), trustedCAFile: plan.certificates.authority)
    }
    if let auth = plan.auth { credentials = Credentials(name: "root", password: auth.root) }
  }
}
