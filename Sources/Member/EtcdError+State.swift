import EtcdAPI
import MVCC
import Membership
import Protobuf

extension EtcdError {
  public init(_ error: StoreError) {
    switch error {
    case .compacted: self = .compacted
    case .futureRevision: self = .futureRevision
    case .keyNotFound: self = .keyNotFound
    case .leaseNotFound: self = .leaseNotFound
    case .leaseExists: self = .leaseExists
    case .leaseTTLTooLarge: self = .leaseTTLTooLarge
    case .damaged(let text): self.init(.internal, text)
    }
  }

  /// - Source: etcd `api/v3rpc/util.go` toGRPCErrorMap.
  public init(_ error: MembershipError) {
    switch error {
    case .malformed: self.init(.unknown, error.description)
    case .idExists: self = .memberExists
    // A member that is added again within the second of its first time has the ID of before.
    case .idNotFound, .idRemoved: self = .memberNotFound
    case .peerURLExists: self = .peerURLExists
    case .memberNotLearner: self = .memberNotLearner
    case .tooManyLearners: self = .tooManyLearners
    }
  }
}

extension Etcdserverpb.TxnRequest {
  /// Whether a branch, nested ones included, puts a key.
  public var containsPut: Bool {
    (success + failure).contains { operation in
      switch operation.request {
      case .requestPut: return true
      case .requestTxn(let inner): return inner.containsPut
      default: return false
      }
    }
  }
}
