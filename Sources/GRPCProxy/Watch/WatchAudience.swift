import Bytes

/// Who shares a watch: on which loops they are, and what they want. Counted, so that news costs as much as there are
/// loops, however many watchers there are.
struct WatchAudience {
  struct Member {
    let branch: WatchBranch
    let contents: WatchContents
    let token: Bytes
  }

  private var counts: [(branch: WatchBranch, count: Int)] = []
  private var wanted: [WatchContents: Int] = [:]

  var branches: [WatchBranch] { counts.map(\.branch) }
  var contents: [WatchContents] { Array(wanted.keys) }

  mutating func add(_ member: Member) {
    add(member.branch, 1)
    wanted[member.contents, default: 0] &+= 1
  }

  mutating func add(_ other: WatchAudience) {
    for (branch, count) in other.counts { add(branch, count) }
    for (contents, count) in other.wanted { wanted[contents, default: 0] &+= count }
  }

  private mutating func add(_ branch: WatchBranch, _ count: Int) {
    if let at = counts.firstIndex(where: { $0.branch === branch }) {
      counts[at].count &+= count
    } else {
      counts.append((branch, count))
    }
  }

  mutating func remove(_ member: Member) {
    if let at = counts.firstIndex(where: { $0.branch === member.branch }) {
      counts[at].count &-= 1
      if counts[at].count == 0 { counts.remove(at: at) }
    }
    wanted[member.contents, default: 0] &-= 1
    if wanted[member.contents] == 0 { wanted[member.contents] = nil }
  }
}
