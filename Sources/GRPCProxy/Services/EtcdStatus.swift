import Calls
import EtcdAPI

extension GRPCStatus {
  /// The members that the proxy talks to know no leader.
  static let noLeader = GRPCStatus(EtcdError.noLeader.code, EtcdError.noLeader.message)
}
