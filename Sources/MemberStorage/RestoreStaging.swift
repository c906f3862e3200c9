import FileSystem
import WAL

/// Where a restored member is built, and how it gets to its place.
///
/// ```
/// DATA missing:  DATA.restoring-TAG/member/…          renamed to DATA
/// DATA empty:    DATA/restoring-TAG/member/…          its member directory renamed to DATA/member
/// WAL elsewhere: WAL.restoring-TAG/…                  renamed to WAL, before the data
/// ```
/// An empty directory is not replaced because it may be a mount point.
struct RestoreStaging {
  private let fileSystem: any FileSystem
  private let data: String
  private let finalWAL: String
  private let tag: String
  private var root = ""
  /// Where the log is built.
  private(set) var wal = ""
  private var dataExists = false
  /// Whether the log goes to its place on its own.
  private var isWALApart = false
  private var walIsPlaced = false
  /// Directories that were made on the way, outermost first.
  private var made: [String] = []

  /// Where the database and the snapshot file are built.
  var snap: String { root + "/member/snap" }

  init(
    _ fileSystem: any FileSystem, dataDirectory: String, walDirectory: String, tag: UInt64
  ) {
    self.fileSystem = fileSystem
    data = Self.normalised(dataDirectory)
    finalWAL = Self.normalised(MemberDirectory.walDirectory(walDirectory, data))
    self.tag = "restoring-" + String(tag, radix: 16)
  }

  /// Drops doubled, trailing and `.` parts.
  static func normalised(_ path: String) -> String {
    let parts = path.split(separator: "/").filter { $0 != "." }
    let joined = parts.joined(separator: "/")
    if path.hasPrefix("/") { return "/" + joined }
    return joined.isEmpty ? "." : joined
  }

  mutating func prepare() throws(FileError) {
    dataExists = try fileSystem.kind(data) != nil
    root = dataExists ? "\(data)/\(tag)" : "\(data).\(tag)"
    let moves = dataExists ? data + "/member/" : data + "/"
    isWALApart = !finalWAL.hasPrefix(moves)
    wal = isWALApart ? "\(finalWAL).\(tag)" : root + finalWAL.dropFirst(data.count)
    try makeParents(of: root)
    guard try fileSystem.kind(root) == nil, try fileSystem.kind(wal) == nil else {
      let taken = root
      // What stands there is not ours to remove.
      root = ""
      throw FileError(
        operation: "mkdir", path: taken, errno: FileError.exists, detail: "file exists")
    }
    try fileSystem.makeDirectory(snap, permissions: 0o700)
    if isWALApart { try makeParents(of: wal) }
  }

  private mutating func makeParents(of path: String) throws(FileError) {
    var missing: [String] = []
    var next = parent(of: path)
    while try fileSystem.kind(next) == nil {
      missing.append(next)
      next = parent(of: next)
    }
    for directory in missing.reversed() {
      try fileSystem.makeDirectory(directory, permissions: 0o700)
      made.append(directory)
      try fileSystem.syncDirectory(parent(of: directory))
    }
  }

  /// Makes what was built durable and moves it where it belongs. The data come last: they are what
  /// makes the directory one of a member.
  mutating func place() throws(FileError) {
    for directory in [snap, root + "/member", root] { try fileSystem.syncDirectory(directory) }
    if isWALApart {
      try fileSystem.rename(wal, to: finalWAL)
      walIsPlaced = true
      try fileSystem.syncDirectory(parent(of: finalWAL))
    }
    let built = root
    if dataExists {
      try fileSystem.rename(built + "/member", to: data + "/member")
      // From here on everything is in its place: there is nothing to discard any more.
      root = ""
      try fileSystem.remove(built)
      try fileSystem.syncDirectory(data)
    } else {
      try fileSystem.rename(built, to: data)
      root = ""
      try fileSystem.syncDirectory(parent(of: data))
    }
  }

  /// Removes whatever was made. Failures are passed over: the reason to be here says more.
  func discard() {
    guard !root.isEmpty else { return }
    removeTree(root)
    if isWALApart {
      removeTree(wal)
      removeTree(wal + ".tmp")
      if walIsPlaced { removeTree(finalWAL) }
    }
    for directory in made.reversed() { try? fileSystem.remove(directory) }
  }

  private func removeTree(_ path: String) {
    if (try? fileSystem.kind(path)) == .directory {
      for name in (try? fileSystem.list(path)) ?? [] { removeTree("\(path)/\(name)") }
    }
    try? fileSystem.remove(path)
  }
}
