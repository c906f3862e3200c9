import Bytes

/// Keys of a client that sees those alone which begin with a prefix, and sees them without it.
///
/// - Source: etcd `client/v3/namespace`.
extension EtcdClient {
  /// The same client for keys that begin with a prefix: what it writes gets it in front, and what it reads
  /// and watches comes without it, so that one cluster serves users who know nothing of each other. Locks,
  /// elections and transactions of the view are in it as well. Leases, users and members are everybody's.
  ///
  /// The connections are those of this client, which lives as long as the view.
  public func namespace(_ prefix: Bytes) -> EtcdClient {
    EtcdClient(of: self, prefix: self.prefix.followed(by: prefix))
  }

  /// How its keys are named.
  var names: KeyNamespace { KeyNamespace(prefix) }
}
