import EtcdAPI

extension EtcdClient {
  /// Members of the cluster. Every call throws `EtcdClientError`.
  public struct Cluster: Sendable {
    let client: EtcdClient

    /// The members.
    /// - Parameter linearizable: whether the newest list is asked for, which takes a leader.
    public func members(
      linearizable: Bool = true
    ) async throws(EtcdClientError) -> Etcdserverpb.MemberListResponse {
      try await client.call(
        Etcdserverpb.ClusterService.memberList,
        Etcdserverpb.MemberListRequest(linearizable: linearizable))
    }

    /// Adds a member that has yet to be started.
    /// - Parameter learner: whether it gets the data without a vote.
    public func add(
      peerURLs: [String], learner: Bool = false
    ) async throws(EtcdClientError) -> Etcdserverpb.MemberAddResponse {
      try await client.call(
        Etcdserverpb.ClusterService.memberAdd,
        Etcdserverpb.MemberAddRequest(peerURLs: peerURLs, isLearner: learner))
    }

    /// Removes a member.
    @discardableResult
    public func remove(
      _ member: UInt64
    ) async throws(EtcdClientError) -> Etcdserverpb.MemberRemoveResponse {
      try await client.call(
        Etcdserverpb.ClusterService.memberRemove, Etcdserverpb.MemberRemoveRequest(id: member))
    }

    /// Says where a member is for its peers.
    @discardableResult
    public func update(
      _ member: UInt64, peerURLs: [String]
    ) async throws(EtcdClientError) -> Etcdserverpb.MemberUpdateResponse {
      try await client.call(
        Etcdserverpb.ClusterService.memberUpdate,
        Etcdserverpb.MemberUpdateRequest(id: member, peerURLs: peerURLs))
    }

    /// Gives a learner its vote.
    @discardableResult
    public func promote(
      _ member: UInt64
    ) async throws(EtcdClientError) -> Etcdserverpb.MemberPromoteResponse {
      try await client.call(
        Etcdserverpb.ClusterService.memberPromote, Etcdserverpb.MemberPromoteRequest(id: member))
    }
  }
}
