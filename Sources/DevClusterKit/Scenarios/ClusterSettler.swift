import EtcdClient
import JSON

/// Makes a cluster well again, and compares what its members have.
struct ClusterSettler: Sendable {
  let control: OrderThread
  let recorder: HistoryRecorder

  /// How long it may take.
  private static let patience = Duration.seconds(60)
  private static let pause = Duration.milliseconds(50)

  /// Ends all faults, starts who does not run, and waits until all are healthy and at the same revision.
  /// - Returns: why that did not happen; `nil` when it did.
  func settle() async -> String? {
    do throws(DevClusterError) {
      recorder.record(.event(HistoryEvent(HistoryEvent.heal, at: recorder.now(), "heal all")))
      _ = try await control.ask(.heal([]))
      for member in try await members() {
        guard let name = member["name"]?.string else { continue }
        switch member["state"]?.string {
        case "paused": _ = try await control.ask(.member(.resume, [name], wait: 0))
        case "stopped", "exited": _ = try await control.ask(.member(.start, [name], wait: 0))
        default: break
        }
      }
      let end = ContinuousClock.now + Self.patience
      while true {
        let left = try await members().filter { $0["state"]?.string != "healthy" }
        let revisions = Set(try await members().map { $0["revision"]?.integer(as: Int64.self) })
        if left.isEmpty && revisions.count == 1 { return nil }
        guard .now < end else { return Self.failure(left, revisions.count) }
        try? await Task.sleep(for: Self.pause)
      }
    } catch { return "the cluster could not be made well again: \(error.description)" }
  }

  private static func failure(_ left: [JSONValue], _ revisions: Int) -> String {
    let names = left.compactMap { $0["name"]?.string }.joined(separator: ", ")
    return left.isEmpty
      ? "members are at \(revisions) revisions, \(Self.patience) after all was healed"
      : "\(names): not healthy \(Self.patience) after all was healed"
  }

  private func members() async throws(DevClusterError) -> [JSONValue] {
    try await control.ask(.status)["members"]?.array ?? []
  }

  /// What voters hash up to the same revision.
  func hashes(
    _ configuration: EtcdClientConfiguration
  ) async -> Result<[History.Hash], DevClusterError> {
    do {
      let voters = try await members().filter { $0["learner"]?.bool == false }
      let urls = voters.compactMap { $0["client"]?.string }
      var configuration = configuration
      configuration.endpoints = urls
      let client = try EtcdClient(configuration)
      defer { client.close() }
      // Leases may still end: what all have is compared.
      var revision = Int64.max
      for url in urls {
        revision = min(revision, try await client.maintenance.status(of: url).header?.revision ?? 0)
      }
      var hashes: [History.Hash] = []
      for (voter, url) in zip(voters, urls) {
        let answer = try await client.maintenance.hashKV(of: url, revision: revision)
        hashes.append(
          .init(member: voter["name"]?.string ?? "", revision: revision, hash: answer.hash))
      }
      return .success(hashes)
    } catch { return .failure(DevClusterError("hashes cannot be had: \(error)")) }
  }
}
