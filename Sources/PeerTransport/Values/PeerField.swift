/// Header fields that members send each other.
package enum PeerField {
  /// The sender's cluster, in hexadecimal. - Source: etcd `rafthttp`.
  package static let clusterID = "X-Etcd-Cluster-ID"
}
