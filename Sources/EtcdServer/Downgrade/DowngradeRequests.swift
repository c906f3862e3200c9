import EtcdAPI
import EventLoops
import Member
import Membership
import Protobuf

/// Downgrades of the cluster: may it be, begin, end. On the member's loop.
///
/// - Source: etcd `EtcdServer.Downgrade`.
struct DowngradeRequests: Sendable {
  /// Cluster version, or why not.
  typealias Handler = (Result<String, EtcdError>) -> Void
  let member: RunningMember

  /// The downgrade that is enabled now, as new as everything acknowledged before the call.
  func current(_ done: @escaping (Result<Downgrade, EtcdError>) -> Void) {
    member.read(linearizable: true) { result, _ in
      done(result.map { _ in member.host.status.downgrade })
    }
  }

  /// Whether the cluster could be taken down to a version.
  func validate(_ text: String, _ done: @escaping Handler) {
    check(text) { result in done(result.map(\.cluster)) }
  }

  private typealias Checked = (target: SemanticVersion, cluster: String)

  private func check(_ text: String, _ done: @escaping (Result<Checked, EtcdError>) -> Void) {
    guard let target = SemanticVersion.clusterVersion(asked: text) else {
      return done(.failure(.wrongDowngradeVersionFormat))
    }
    current { result in
      done(
        Result { () throws(EtcdError) in
          let downgrade = try result.get()
          let cluster = member.host.membership.clusterVersion ?? ""
          guard let version = SemanticVersion(cluster) else { throw .clusterVersionUnavailable }
          guard target == version.allowedDowngrade else { throw .invalidDowngradeTarget }
          if downgrade.isEnabled { throw .downgradeInProcess }
          return (target, cluster)
        })
    }
  }

  /// Lets members of an older version join.
  func enable(_ text: String, _ done: @escaping Handler) {
    check(text) { result in
      switch result {
      case .failure(let error):
        member.logger.warn("reject downgrade request", [LogField("error", .error(error))])
        done(.failure(error))
      case .success(let checked):
        propose(
          Membershippb.DowngradeInfoSetRequest(
            enabled: true, ver: checked.target.description), done)
      }
    }
  }

  func cancel(_ done: @escaping Handler) {
    current { result in
      switch result {
      case .failure(let error): done(.failure(error))
      case .success(let downgrade) where !downgrade.isEnabled:
        done(.failure(.noInflightDowngrade))
      case .success: propose(Membershippb.DowngradeInfoSetRequest(), done)
      }
    }
  }

  private func propose(_ request: Membershippb.DowngradeInfoSetRequest, _ done: @escaping Handler) {
    let id = member.requests.makeID()
    let data = RaftRequest.encode(.downgradeInfoSet, request.encoded(), id: id)
    member.requests.propose(id: id, data) { outcome, _ in
      if case .failed(let error) = outcome { return done(.failure(error)) }
      done(.success(member.host.membership.clusterVersion ?? ""))
    }
  }
}
