import EtcdConfig
import Member
import Membership

/// By how much the first election after a start is hastened, for nobody whom it could disturb.
struct ElectionHaste {
  /// Whether this is the first start of a new cluster's founder: nobody has led.
  let campaignsAtOnce: Bool
  /// Ticks of raft's timeout that are skipped: all but one of the shortest, unless the raft snapshot names other members,
  /// who may have a leader. Half of it where a founder campaigns at once, before whom the others would only be heard by
  /// connections made for it.
  let ticks: Int
  /// Ticks that a member skips that turns out to be alone: a random timeout is always below twice the configured one.
  let ticksAlone: Int
  /// In which order founders dial each other; `nil` for all at once.
  let opening: FirstElection.Opening?

  init(_ config: ServerConfig, _ boot: borrowing Bootstrap.Result) {
    guard config.initialElectionTickAdvance else {
      (campaignsAtOnce, ticks, ticksAlone, opening) = (false, 0, 0, nil)
      return
    }
    // checked: both are validated, at most 50,000 and above 0
    let timeout = config.electionTimeout / config.heartbeatInterval
    campaignsAtOnce = boot.isNew && config.isNewCluster
    opening =
      campaignsAtOnce
      ? FirstElection.Opening(boot.founders, electionTimeout: config.electionTimeout) : nil
    ticksAlone = 2 * timeout
    if boot.core.membership.members.count > 1 {
      ticks = 0
    } else {
      ticks = campaignsAtOnce && boot.founders.count > 1 ? timeout / 2 : timeout - 1
    }
  }
}
