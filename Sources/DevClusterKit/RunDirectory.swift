import Bytes
import FileSystem
import Platform

/// The directory of a cluster: who owns it, what cluster it holds, where its files are.
public struct RunDirectory: Sendable {
  /// Absolute.
  public let path: String

  public init(_ given: String) throws(DevClusterError) { path = try System.absolute(given) }

  var clusterFile: String { path + "/cluster.json" }
  var lockFile: String { path + "/lock" }
  var supervisorLog: String { path + "/supervisor.log" }
  var eventLog: String { path + "/events.jsonl" }
  /// Port and token of the status page, and a page that leads there.
  var pageFile: String { path + "/ui.json" }
  var pageOpener: String { path + "/ui.html" }
  var saves: String { path + "/saves" }
  /// Relative to the directory, because a socket's path may only be about 100 bytes long.
  static let controlSocket = "control.sock"
  private let files = RealFileSystem()

  /// - Throws: `DevClusterError` when the directory is there and not ours to use.
  func checkAccess() throws(DevClusterError) {
    guard let owner = Paths.owner(path) else {
      let reason = SystemError.last
      guard reason == .notPermitted else { return }
      throw DevClusterError("cannot look into \(path): \(reason)")
    }
    guard Paths.isDirectory(path) else { throw DevClusterError("\(path) is no directory") }
    guard Paths.isAccessible(path) else {
      throw DevClusterError(
        "cannot use \(path): it belongs to \(owner); run devcluster as \(owner), or name another"
          + " directory with --dir")
    }
    // A socket that was left behind is taken over; anything else is somebody's.
    let socket = "\(path)/\(Self.controlSocket)"
    if let kind = try? files.kind(socket), kind != .other {
      throw DevClusterError(
        "\(socket) is in the place of the control socket, and is none; remove it, or name another"
          + " directory with --dir")
    }
  }

  /// The cluster that was made here; `nil` when there is none yet.
  /// - Throws: `DevClusterError` when the file cannot be understood.
  func plan() throws(DevClusterError) -> ClusterPlan? {
    guard let content = System.read(clusterFile) else {
      try checkAccess()
      return nil
    }
    guard let plan = ClusterFile.plan(content, directory: path) else {
      throw DevClusterError("\(clusterFile) is damaged; devcluster clean removes all data")
    }
    return plan
  }

  /// The cluster that was made here.
  /// - Throws: `DevClusterError` when there is none.
  func existingPlan() throws(DevClusterError) -> ClusterPlan {
    guard let plan = try plan() else {
      throw DevClusterError("there is no cluster in \(path) (make one with: devcluster up 3)")
    }
    return plan
  }

  func save(_ plan: ClusterPlan) throws(DevClusterError) {
    try System.replace(clusterFile, ClusterFile.text(plan))
  }

  /// Makes this process the only supervisor here.
  /// - Returns: what has the lock until it is closed.
  /// - Throws: `DevClusterError` when there is one already.
  func lock() throws(DevClusterError) -> any StorageFile {
    try System.makeDirectory(path)
    do throws(FileError) {
      let file = try files.open(lockFile, .create(permissions: 0o600))
      if try file.tryLock() {
        try file.truncate(to: 0)
        try System.write(Bytes("\(Program.id)\n"), to: file)
        return file
      }
    } catch { throw DevClusterError("cannot open \(lockFile): \(error.detail)") }
    let owner = lockOwner.map { " (process \($0))" } ?? ""
    throw DevClusterError(
      "a cluster is already running in \(path)\(owner); devcluster status shows it")
  }

  /// Whether a supervisor lives.
  var isLocked: Bool {
    guard let file = try? files.open(lockFile, .readWrite) else { return false }
    defer { file.close() }
    return (try? file.tryLock()) == false
  }

  /// The process that wrote itself into the lock last.
  var lockOwner: Int32? {
    System.read(lockFile).flatMap {
      Int32(String(decoding: $0.prefix { $0 != 10 }, as: UTF8.self))
    }
  }

  /// Removes everything.
  /// - Throws: `DevClusterError` when it is in use or no cluster's directory.
  func remove() throws(DevClusterError) {
    guard Paths.exists(path) else { return }
    try checkAccess()
    guard !isLocked else {
      throw DevClusterError("a cluster is running in \(path); end it with devcluster down")
    }
    guard Paths.exists(clusterFile) || Paths.exists(lockFile) else {
      throw DevClusterError("\(path) is not a directory of devcluster; nothing was removed")
    }
    if let memory = try? plan()?.memoryDirectory { try removeTree(memory) }
    try removeTree(path)
  }

  func removeTree(_ path: String) throws(DevClusterError) {
    guard Paths.exists(path) else { return }
    do throws(FileError) { try System.removeTree(path) } catch {
      throw DevClusterError("cannot remove \(error.path): \(error.detail)")
    }
  }
}
