import Bytes
import FileSystem
import JSON
import Platform

/// Where this user's clusters are known, whatever became of their directories: a file and a socket for each
/// supervisor, and a lock for each port that a cluster has.
struct Registry: Sendable {
  /// A supervisor.
  struct Entry: Equatable {
    var pid: Int32
    /// Of the cluster.
    var directory: String
    /// Another way to its control socket.
    var socket: String
    /// Seconds since 1970.
    var started: Int64
  }

  let path: String
  private static let files = RealFileSystem()

  /// The one of this user: in `XDG_RUNTIME_DIR` where that is ours, and in the place for temporary files
  /// otherwise.
  /// - Throws: `DevClusterError` when there is no directory that others keep away from.
  init(_ variables: [String: String] = ProcessEnvironment.variables) throws(DevClusterError) {
    let shared = (variables["TMPDIR"].flatMap { $0.isEmpty ? nil : $0 } ?? "/tmp")
    var places = ["\(shared)/devcluster-\(Program.userID)"]
    if let own = variables["XDG_RUNTIME_DIR"], own.hasPrefix("/") {
      places.insert("\(own)/devcluster", at: 0)
    }
    guard let place = places.first(where: Paths.makePrivateDirectory) else {
      throw DevClusterError(
        "\(places[places.count - 1]) is not a directory of this user alone; it keeps a list of"
          + " running clusters (set XDG_RUNTIME_DIR to another place)")
    }
    path = place
  }

  private func file(_ pid: Int32) -> String { "\(path)/\(pid).json" }
  func socket(_ pid: Int32) -> String { "\(path)/\(pid).sock" }

  /// Adds this process as the supervisor of a directory.
  func add(_ directory: String) throws(DevClusterError) {
    let object: JSONObject = [
      "directory": .string(directory), "started": .integer(WallClock.seconds),
    ]
    try System.replace(file(Program.id), JSONValue.object(object).encoded().string + "\n")
  }

  func removeOwn() {
    Paths.remove(file(Program.id))
    Paths.remove(socket(Program.id))
  }

  /// Clusters whose supervisors live; what others left is removed.
  func entries() -> [Entry] {
    var found: [Entry] = []
    for name in (SystemFiles.names(in: path) ?? []).sorted() where name.hasSuffix(".json") {
      guard let pid = Int32(name.dropLast(5)), let content = System.read(file(pid)),
        let json = try? JSONValue.parse(content), let directory = json["directory"]?.string
      else { continue }
      // Its socket answers as long as it lives, however its number is used again.
      guard case .connected(let descriptor) = LocalSocket.connect(to: socket(pid)) else {
        if !Signals.reaches(pid) {
          Paths.remove(file(pid))
          Paths.remove(socket(pid))
        }
        continue
      }
      Descriptor.close(descriptor)
      found.append(
        Entry(
          pid: pid, directory: directory, socket: socket(pid),
          started: json["started"]?.integer(as: Int64.self) ?? 0))
    }
    return found
  }

  // MARK: ports

  /// Ports that are this process's until it closes them.
  struct PortLocks {
    fileprivate var files: [any StorageFile] = []
  }

  /// Why ports cannot be had.
  struct PortConflict: Error {
    let port: Int
    /// Directory of the cluster that has it.
    let owner: String
  }

  /// Takes ports, so that no other cluster of this user does at the same time.
  /// - Throws: `PortConflict` with the first that another has.
  func lock(_ ports: [Int], for directory: String) throws(PortConflict) -> PortLocks {
    let folder = path + "/ports"
    _ = Paths.makePrivateDirectory(folder)
    var locks = PortLocks()
    for port in ports {
      let name = "\(folder)/\(port)"
      guard let file = try? Self.files.open(name, .create(permissions: 0o600)) else { continue }
      guard (try? file.tryLock()) == true else {
        let owner = System.read(name).map { $0.string } ?? ""
        for file in locks.files { file.close() }
        throw PortConflict(port: port, owner: owner)
      }
      locks.files.append(file)
      try? file.truncate(to: 0)
      try? System.write(Bytes(directory), to: file)
    }
    return locks
  }

  /// Gives ports back.
  func release(_ locks: PortLocks) { for file in locks.files { file.close() } }

  /// Finds and takes a block of free ports.
  /// - Parameter pick: a number below its argument, by chance.
  /// - Throws: `DevClusterError` when there is none.
  func findBlock(
    for directory: String, pick: (Int) -> Int
  ) throws(DevClusterError) -> (base: Int, locks: PortLocks) {
    let range = PortSearch.range(ephemeral: PortSearch.ephemeralRange())
    let count = (range.upperBound - range.lowerBound + 1) / PortPlan.blockSize
    for _ in 0..<200 where count > 0 {
      let base = range.lowerBound + pick(count) * PortPlan.blockSize
      let ports = Array(base..<base + PortPlan.blockSize)
      guard !ports.contains(where: LocalSocket.isPortTaken),
        let locks = try? lock(ports, for: directory)
      else { continue }
      return (base, locks)
    }
    throw DevClusterError(
      "no block of \(PortPlan.blockSize) free ports was found from \(range.lowerBound) to"
        + " \(range.upperBound); name one with --ports PORT")
  }
}

/// Where ports are looked for. Pure but for the question what the system takes for itself.
enum PortSearch {
  /// Ports that the system takes for outgoing connections.
  static func ephemeralRange() -> ClosedRange<Int> {
    let text = SystemFiles.text(of: "/proc/sys/net/ipv4/ip_local_port_range") ?? ""
    let numbers = text.split { $0 == "\t" || $0 == " " || $0 == "\n" }.compactMap { Int($0) }
    guard numbers.count == 2, numbers[0] <= numbers[1] else { return PortPlan.ephemeralByDefault }
    return numbers[0]...numbers[1]
  }

  /// What of the search range lies outside; all of it when that leaves too little, for then there is no
  /// better place.
  static func range(ephemeral: ClosedRange<Int>) -> ClosedRange<Int> {
    let wanted = PortPlan.searchRange
    let below = min(wanted.upperBound, ephemeral.lowerBound - 1)
    if below - wanted.lowerBound >= 20 * PortPlan.blockSize { return wanted.lowerBound...below }
    let above = max(wanted.lowerBound, ephemeral.upperBound + 1)
    let top = 65_535
    if top - above >= 20 * PortPlan.blockSize { return above...top }
    return wanted
  }
}
