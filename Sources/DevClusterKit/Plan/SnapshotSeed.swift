import FileSystem
import MemberStorage
import Membership
import Platform

/// Data directories of a new cluster from a snapshot, as `etcdutl snapshot restore` makes them. Blocks.
struct SnapshotSeed {
  /// What `snapshot save` wrote.
  let file: String
  let plan: ClusterPlan
  let directory: RunDirectory

  /// Makes the data directories of all founders, or none.
  /// - Throws: `DevClusterError` when a member has data already, or the snapshot cannot be had.
  func restore() throws(DevClusterError) {
    guard Paths.exists(file) else { throw DevClusterError.usage("there is no snapshot \(file)") }
    for member in plan.founders where Paths.exists(member.dataDirectory) {
      throw DevClusterError(
        "\(member.dataDirectory) is there already, and a snapshot is for a new cluster; remove the"
          + " data with devcluster clean")
    }
    do throws(DevClusterError) {
      for member in plan.founders { try restore(member) }
    } catch {
      for member in plan.founders { try directory.removeTree(member.dataDirectory) }
      throw error
    }
  }

  private func restore(_ member: MemberPlan) throws(DevClusterError) {
    let members = plan.founders.map { founder in
      MemberInfo(
        id: Identity.memberID(peerURLs: [founder.peerURL], token: ClusterPlan.token),
        peerURLs: [founder.peerURL], name: founder.name)
    }
    try System.makeDirectory(member.directory)
    let restore = SnapshotRestore(
      RealFileSystem(), snapshotPath: file, dataDirectory: member.dataDirectory, walDirectory: "",
      members: members, name: member.name)
    do throws(StorageError) {
      _ = try restore.run(tag: UInt64.random(in: .min ... .max))
    } catch { throw DevClusterError("cannot begin with \(file): \(error.description)") }
  }
}
