import FileSystem
import Platform

/// From what `up` was told and what the directory holds to the plan of a cluster.
struct Planner {
  let directory: RunDirectory
  let options: UpOptions
  let registry: Registry
  /// What a file says; the command line says more.
  let config: ClusterConfig?

  init(
    directory: RunDirectory, options: UpOptions, registry: Registry, config: ClusterConfig?
  ) {
    self.directory = directory
    self.registry = registry
    self.config = config
    var options = options
    options.size = options.size ?? config?.size
    options.ports = options.ports ?? config?.ports
    options.security = options.security ?? config?.security
    options.binary = options.binary ?? config?.binary
    options.isFast = options.isFast || config?.isFast == true
    options.watchesDisks = options.watchesDisks ?? config?.watchesDisks
    options.isDiscovered = options.isDiscovered ?? config?.isDiscovered
    options.page = options.page ?? config?.page
    if options.relay == nil && config?.needsClientRelay == true { options.relay = .all }
    options.auth = options.auth || config?.auth != nil
    options.extra = options.extra ?? config?.flags
    self.options = options
  }

  /// The plan, and the locks of its ports.
  struct Result {
    var plan: ClusterPlan
    var locks: Registry.PortLocks
    /// Whether there was nothing here.
    var isNew = false
  }

  /// The plan for `up`: what is here already, or what is asked for. To be called with the directory's lock.
  /// - Throws: `DevClusterError` when the two differ, or ports cannot be had.
  func make() throws(DevClusterError) -> Result {
    if let old = try directory.plan() {
      do throws(DevClusterError) {
        let plan = try changed(old)
        if plan.isDiscovered { try clearHalf(old) }
        return try locked(plan)
      } catch {
        // Nobody has had anything from a cluster that never was healthy.
        guard !old.wasHealthy, isOtherShape(old) else { throw error }
        try clear(old)
      }
    }
    var made = try fresh()
    made.isNew = true
    return made
  }

  private func isOtherShape(_ old: ClusterPlan) -> Bool {
    refusal(old) != nil
  }

  /// A cluster that never was healthy, and of which some members have data: those would not come to meet the others.
  private func clearHalf(_ old: ClusterPlan) throws(DevClusterError) {
    let hasData = old.founders.map { Paths.exists($0.dataDirectory + "/member/wal") }
    guard !old.wasHealthy, hasData.contains(true), hasData.contains(false) else { return }
    for member in old.members { try directory.removeTree(member.dataDirectory) }
  }

  private func clear(_ old: ClusterPlan) throws(DevClusterError) {
    for member in old.members { try directory.removeTree(member.directory) }
    if let memory = old.memoryDirectory { try directory.removeTree(memory) }
  }

  /// The plan as it would be, without ports that have to be found.
  func preview() throws(DevClusterError) -> ClusterPlan {
    if let old = try directory.plan() { return try changed(old) }
    return try plan(.standard)
  }

  // MARK: a new one

  private func fresh() throws(DevClusterError) -> Result {
    var ports = PortPlan.standard
    var locks: Registry.PortLocks?
    switch options.ports {
    case .standard, nil: break
    case .base(let port): ports = .base(port)
    case .auto:
      let found = try registry.findBlock(for: directory.path) { Int.random(in: 0..<$0) }
      ports = .found(found.base)
      locks = found.locks
    }
    let plan = try plan(ports)
    if let locks { return Result(plan: plan, locks: locks) }
    return try locked(plan)
  }

  private func plan(_ ports: PortPlan) throws(DevClusterError) -> ClusterPlan {
    let memory = options.isFast ? MemoryPlace.directory(for: directory.path) : nil
    var plan = ClusterPlan(
      size: options.size ?? 3, ports: ports, directory: directory.path, memoryDirectory: memory
    ).secured(options.security ?? .none).relayed(options.relay ?? .peers)
    plan.skipsSync = options.isFast && memory == nil
    plan.watchesDisks = options.watchesDisks ?? !(options.isFast || options.relay == .some(.none))
    if options.auth { plan.auth = config?.auth ?? AuthPlan() }
    plan.flags = options.extra ?? []
    plan.page = options.page ?? .none
    plan.isDiscovered = options.isDiscovered ?? false
    plan.seed = config?.seed ?? []
    for name in (config?.members.keys ?? [:].keys).sorted() where plan.member(name) == nil {
      guard let index = Int(name.dropFirst()), config?.members[name]?.isLearner == true else {
        throw DevClusterError.usage("the file has a member \(name), and the cluster \(plan.size)")
      }
      plan.members.append(plan.newMember(index))
    }
    plan = try withPrograms(plan)
    try ClusterPlan.check(flags: plan.flags)
    try checkFounders(plan)
    return plan
  }

  /// - Throws: `DevClusterError` for members that would wait for one that does not come.
  private func checkFounders(_ plan: ClusterPlan) throws(DevClusterError) {
    guard plan.isDiscovered, let absent = plan.founders.first(where: { !$0.startsWithCluster })
    else { return }
    throw DevClusterError.usage(
      "with discovery members wait for all others, and the file does not start \(absent.name);"
        + " start it and devcluster stop it, or leave discovery out")
  }

  // MARK: one that is here

  /// Why what is asked for is another cluster than what is here.
  private func refusal(_ old: ClusterPlan) -> String? {
    let clean = "or remove its data with devcluster clean"
    if let size = options.size, size != old.size, size != old.voters {
      return
        "\(directory.path) holds a cluster of \(old.size); start it with devcluster up, \(clean)"
    }
    if let security = options.security, security != old.security {
      return
        "\(directory.path) holds a cluster with --tls=\(old.security.rawValue), which its members"
        + " have in their data; start it with devcluster up, \(clean)"
    }
    switch (options.ports, old.ports) {
    case (nil, _), (.auto, .found), (.standard, .standard): return nil
    case (.base(let asked), .base(let had)) where asked == had: return nil
    default:
      let had = old.ports.base.map { "ports from \($0) on" } ?? "the standard ports"
      return "\(directory.path) holds a cluster on \(had); start it with devcluster up, \(clean)"
    }
  }

  /// The plan that is here, with what may change between two starts.
  private func changed(_ old: ClusterPlan) throws(DevClusterError) -> ClusterPlan {
    if let refusal = refusal(old) { throw DevClusterError(refusal) }
    var plan = try withPrograms(options.relay.map(old.relayed) ?? old)
    if let flags = options.extra {
      try ClusterPlan.check(flags: flags)
      plan.flags = flags
    }
    plan.watchesDisks =
      options.watchesDisks ?? (old.watchesDisks && options.relay != .some(.none))
    if options.auth && plan.auth == nil { plan.auth = config?.auth ?? AuthPlan() }
    plan.page = options.page ?? old.page
    plan.isDiscovered = options.isDiscovered ?? old.isDiscovered
    try checkFounders(plan)
    return plan
  }

  private func withPrograms(_ plan: ClusterPlan) throws(DevClusterError) -> ClusterPlan {
    var plan = plan
    if let binary = options.binary {
      plan.binary = try Versions.program(binary)
      // Said for all: what single ones had before does not count any more.
      for index in plan.members.indices { plan.members[index].binary = nil }
    }
    if let config { try apply(config, to: &plan) }
    for (name, binary) in options.binaries.sorted(by: { $0.key < $1.key }) {
      guard let index = plan.members.firstIndex(where: { $0.name == name }) else {
        throw DevClusterError.usage(
          "--binary \(name)=…: a cluster of \(plan.size) has no \(name)")
      }
      plan.members[index].binary = try Versions.program(binary)
    }
    for member in plan.members { _ = try MemberProgram.path(member, plan) }
    return plan
  }

  /// What the file says of all members and of single ones.
  private func apply(_ config: ClusterConfig, to plan: inout ClusterPlan) throws(DevClusterError) {
    plan.environment = config.environment
    plan.zones = config.zones
    plan.faults = config.faults
    guard plan.relay != .none || !config.needsRelay else {
      throw DevClusterError.usage(
        "the file has zones or faults between members, which need the relay: up without --direct")
    }
    for index in plan.members.indices {
      guard let said = config.members[plan.members[index].name] else { continue }
      if let binary = said.binary { plan.members[index].binary = try Versions.program(binary) }
      plan.members[index].flags = said.flags
      plan.members[index].environment = said.environment
      plan.members[index].startsWithCluster = said.starts
      if !plan.wasHealthy { plan.members[index].isLearner = said.isLearner }
    }
    guard config.members.values.count(where: { $0.isLearner && $0.starts }) <= 1 else {
      throw DevClusterError.usage("etcd has one learner at a time; the file names several")
    }
    guard plan.members.contains(where: { !$0.isLearner }) else {
      throw DevClusterError.usage("a cluster needs a member that votes")
    }
  }

  private func locked(_ plan: ClusterPlan) throws(DevClusterError) -> Result {
    let ports =
      plan.members.flatMap(\.ports.all) + (plan.isDiscovered ? [plan.ports.discovery] : [])
    do throws(Registry.PortConflict) {
      return Result(plan: plan, locks: try registry.lock(ports, for: plan.directory))
    } catch {
      let owner = error.owner.isEmpty ? "another cluster" : "the cluster in \(error.owner)"
      throw DevClusterError(
        "port \(error.port) belongs to \(owner), which runs or is being started; take others with"
          + " --ports auto")
    }
  }
}

/// Where data can be in memory.
enum MemoryPlace {
  /// Bytes that a cluster needs at least.
  private static let bytesMin = 1 << 30

  /// A directory for a cluster; `nil` where there is no room.
  static func directory(for path: String) -> String? {
    let root = "/dev/shm"
    let mounts = SystemFiles.text(of: "/proc/mounts") ?? ""
    guard mounts.contains(" \(root) tmpfs "),
      let free = try? RealFileSystem().freeBytes(root), free >= bytesMin
    else { return nil }
    let own = "\(root)/devcluster-\(Program.userID)"
    guard Paths.makePrivateDirectory(own) else { return nil }
    return own + "/" + path.split(separator: "/").joined(separator: "%")
  }
}

/// Programs by path, by name in PATH, or by version.
enum Versions {
  /// Finds a program.
  /// - Parameter given: a path, or a version such as `3.5.30`, looked for in `DEVCLUSTER_VERSIONS` (directories
  ///   between colons), then in `~/.cache/devcluster`.
  /// - Throws: `DevClusterError` naming where it was looked for.
  static func program(_ given: String) throws(DevClusterError) -> String {
    guard let first = given.first, first.isNumber, !given.contains("/") else {
      return try System.program(given)
    }
    let variables = ProcessEnvironment.variables
    var places = (variables["DEVCLUSTER_VERSIONS"] ?? "").split(separator: ":").map(String.init)
    if let home = variables["HOME"] { places.append(home + "/.cache/devcluster") }
    for place in places {
      let names = (SystemFiles.names(in: place) ?? []).sorted()
      for name in names where isVersion(given, name) {
        for path in ["\(place)/\(name)", "\(place)/\(name)/etcd"] where Paths.isProgram(path) {
          return try System.absolute(path)
        }
      }
    }
    throw DevClusterError(
      "there is no etcd \(given) in \(places.joined(separator: ", ")); unpack it there as"
        + " etcd-v\(given)/etcd, or name a path")
  }

  /// Whether a file's name is that of a version: `3.5.30`, `etcd-3.5.30`, `etcd-v3.5.30-linux-amd64`.
  static func isVersion(_ version: String, _ name: String) -> Bool {
    for prefix in ["", "v", "etcd-", "etcd-v"] where name.hasPrefix(prefix + version) {
      let rest = name.dropFirst(prefix.count + version.count)
      if rest.isEmpty || rest.first == "-" { return true }
    }
    return false
  }
}
