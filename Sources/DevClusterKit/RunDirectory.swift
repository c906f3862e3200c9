import Bytes
import FileSystem
import JSON
import Platform

/// The directory of a cluster: who owns it, what cluster it holds, where its files are.
public struct RunDirectory: Sendable {
  /// Absolute.
  public let path: String

  public init(_ given: String) throws(DevClusterError) { path = try System.absolute(given) }

  var clusterFile: String { path + "/cluster.json" }
  var lockFile: String { path + "/lock" }
  var supervisorLog: String { path + "/supervisor.log" }
  /// Relative to the directory, because a socket's path may only be about 100 bytes long.
  static let controlSocket = "control.sock"
  private let files = RealFileSystem()

  /// The cluster that was made here; `nil` when there is none yet.
  /// - Throws: `DevClusterError` when the file cannot be understood.
  func plan() throws(DevClusterError) -> ClusterPlan? {
    guard let content = System.read(clusterFile) else { return nil }
    guard let json = try? JSONValue.parse(content),
      let size = json["members"]?.integer(as: Int.self), ClusterPlan.sizes.contains(size)
    else { throw DevClusterError("\(clusterFile) is damaged; devcluster clean removes all data") }
    return ClusterPlan(
      size: size, basePort: json["basePort"]?.integer(as: Int.self), directory: path)
  }

  /// The cluster that was made here.
  /// - Throws: `DevClusterError` when there is none.
  func existingPlan() throws(DevClusterError) -> ClusterPlan {
    guard let plan = try plan() else {
      throw DevClusterError("there is no cluster in \(path) (make one with: devcluster up 3)")
    }
    return plan
  }

  /// The plan for `up`: what is here already, or what is asked for.
  /// - Throws: `DevClusterError` when the two differ.
  func plan(for options: UpOptions) throws(DevClusterError) -> ClusterPlan {
    guard let old = try plan() else {
      return ClusterPlan(size: options.size ?? 3, basePort: options.basePort, directory: path)
    }
    if let size = options.size, size != old.size {
      throw DevClusterError(
        "\(path) holds a cluster of \(old.size); start it with devcluster up \(old.size), or remove"
          + " its data with devcluster clean")
    }
    if let port = options.basePort, port != old.basePort {
      let ports = old.basePort.map { "the base port \($0)" } ?? "the standard ports"
      throw DevClusterError("\(path) holds a cluster on \(ports)")
    }
    return old
  }

  func save(_ plan: ClusterPlan) throws(DevClusterError) {
    var object: JSONObject = ["members": .integer(plan.size)]
    if let port = plan.basePort { object["basePort"] = .integer(port) }
    try System.replace(clusterFile, JSONValue.object(object).encoded().string + "\n")
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
    throw DevClusterError("a cluster is already running in \(path)\(owner)")
  }

  /// Whether a supervisor lives.
  var isLocked: Bool {
    guard let file = try? files.open(lockFile, .readWrite) else { return false }
    defer { file.close() }
    return (try? file.tryLock()) == false
  }

  private var lockOwner: Int32? {
    System.read(lockFile).flatMap {
      Int32(String(decoding: $0.prefix { $0 != 10 }, as: UTF8.self))
    }
  }

  /// Removes everything.
  /// - Throws: `DevClusterError` when it is in use or no cluster's directory.
  func remove() throws(DevClusterError) {
    guard Paths.exists(path) else { return }
    guard !isLocked else {
      throw DevClusterError("a cluster is running in \(path); end it with devcluster down")
    }
    guard Paths.exists(clusterFile) || Paths.exists(lockFile) else {
      throw DevClusterError("\(path) is not a directory of devcluster; nothing was removed")
    }
    do throws(FileError) { try System.removeTree(path) } catch {
      throw DevClusterError("cannot remove \(error.path): \(error.detail)")
    }
  }
}
