import EtcdAPI
import FileSystem
import Member
import Raft

/// What a member keeps must not grow with the time for which it has lived: it is bounded by what its options say, and by what
/// clients write between two snapshots and two compactions.
extension Cluster {
  /// Files besides those that the options keep: those that the next look of the cleaner takes.
  private static let filesBesides = 2
  /// Bytes of a database: some keys, a day's history of them and free pages.
  private static let databaseBytesMax = 32 << 20

  func checkSizes() {
    for id in ids {
      let snapshots = files(of: id, in: "data/member/snap")
      check(snapshots, of: id, most: 2 * options.member.snapshotsKept)
      check(oldSegments(of: id, snapshots), of: id, most: options.member.segmentsKept)
      guard case .file(let size)? = try? nodes[id]!.fileSystem.kind("data/member/snap/db") else {
        problems.append("\(name(id)) has no database")
        continue
      }
      trace("the database of \(name(id)) has \(size) bytes")
      if size > Self.databaseBytesMax {
        problems.append("the database of \(name(id)) grew to \(size) bytes")
      }
    }
  }

  private func files(of id: MemberID, in directory: String) -> [String] {
    let files = (try? nodes[id]!.fileSystem.list(directory)) ?? []
    trace("\(name(id)) has in \(directory) \(files)")
    return files
  }

  /// Segments that hold nothing behind the newest snapshot. Those that a repair set aside stay for ever, as in etcd.
  private func oldSegments(of id: MemberID, _ snapshots: [String]) -> [String] {
    let newest = snapshots.filter { $0.hasSuffix(".snap") }.compactMap(Self.index).max() ?? 0
    let segments = files(of: id, in: "data/member/wal").filter { $0.hasSuffix(".wal") }.sorted()
    // All that a segment has is before the first of the next.
    return zip(segments, segments.dropFirst()).filter { Self.index($0.1) ?? 0 <= newest }.map(\.0)
  }

  /// The second number of a name: of a snapshot its index, of a segment its first.
  private static func index(_ name: String) -> UInt64? {
    let numbers = name.prefix { $0 != "." }.split(separator: "-")
    return numbers.count == 2 ? UInt64(numbers[1], radix: 16) : nil
  }

  private func check(_ files: [String], of id: MemberID, most: Int) {
    // A power failure brings back what was removed since the directory was synced; here that is hours, where file systems
    // write it within seconds.
    let returned = nodes[id]!.lossyCrashes
    if files.count > most + Self.filesBesides + returned {
      problems.append("\(name(id)) has \(files.count) old files: \(files)")
    }
  }
}
