import EtcdAPI
import Member
import Membership
import Simulation
import Testing

extension SimulatedMember {
  static let lone = MemberInfo(id: 1, peerURLs: ["http://10.0.0.1:2380"], name: "m1")

  /// The only member of its cluster, which leads.
  static func leadingAlone(
    on disk: SimulatedFileSystem = SimulatedFileSystem(), _ options: Options = .init()
  ) throws -> SimulatedMember {
    let member = try SimulatedMember(
      disk, founders: [lone], own: lone, options: options, firstRequest: 1, seed: 1)
    for _ in 0..<30 {
      member.tick()
      _ = try member.settle()
    }
    #expect(member.isLeader)
    return member
  }
}
