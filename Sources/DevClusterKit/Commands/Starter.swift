import Bytes
import EventLoops
import FileSystem
import Platform

/// `devcluster up`: becomes a supervisor, or starts one that outlives this process.
struct Starter {
  private let options: UpOptions
  private let directory: RunDirectory
  private let words: [String]
  /// As it is called, before the cluster's directory is entered.
  private let scenarioFolder: String

  init(_ options: UpOptions, _ directory: RunDirectory, _ words: [String]) {
    self.options = options
    self.directory = directory
    self.words = words
    scenarioFolder = (try? System.absolute(DevCluster.scenarioFolder)) ?? DevCluster.scenarioFolder
  }

  /// - Returns: the exit status.
  func up() throws(DevClusterError) -> Int32 {
    let config = try ConfigurationFile.read(options.file)
    if options.detach && options.reportDescriptor == nil {
      System.print(try Detach.run(words, directory))
      return 0
    }
    if options.reportDescriptor != nil { Detach.closeInherited() }
    // Before there are threads.
    let guardian: Guardian
    do throws(DevClusterError) { guardian = try Guardian.start() } catch {
      return try refused(error)
    }
    let reporter = Reporter(pipe: options.reportDescriptor)
    let lock: any StorageFile
    let registry: Registry
    let made: Planner.Result
    do throws(DevClusterError) {
      try directory.checkAccess()
      registry = try Registry()
      try checkPrograms()
      try checkOthers(registry)
      lock = try directory.lock()
      made = try plan(registry, config)
    } catch { return try refused(error) }
    defer { lock.close() }
    if let pipe = reporter.pipe { Descriptor.setInherited(pipe, false) }
    guard Paths.enter(directory.path) else {
      return try refused(
        DevClusterError("cannot enter \(directory.path): \(System.lastError)"))
    }
    let status = try supervise(made.plan, wait: config?.wait, reporter, guardian, registry)
    registry.release(made.locks)
    reporter.flush()
    return status
  }

  /// Before the directory is made: nothing is left of an order that could not be.
  private func checkPrograms() throws(DevClusterError) {
    if let binary = options.binary { _ = try Versions.program(binary) }
    for binary in options.binaries.values { _ = try Versions.program(binary) }
  }

  /// The plan, kept in the directory from this moment on, and what it needs there.
  private func plan(
    _ registry: Registry, _ config: ClusterConfig?
  ) throws(DevClusterError) -> Planner.Result {
    let made = try Planner(
      directory: directory, options: options, registry: registry, config: config
    ).make()
    // Data in memory outlive the directory of their cluster, and would be those of other members.
    if made.isNew, let memory = made.plan.memoryDirectory { try directory.removeTree(memory) }
    // Before the plan is kept: without the snapshot there is no cluster.
    if let file = options.snapshot ?? (made.isNew ? config?.snapshot : nil) {
      try SnapshotSeed(file: file, plan: made.plan, directory: directory).restore()
    }
    try directory.save(made.plan)
    if made.plan.security == .own { try Certificates.prepare(made.plan.certificates) }
    return made
  }

  /// A cluster outlives its directory when that is removed; commands here would be for either.
  /// - Throws: `DevClusterError` when there is such a one.
  private func checkOthers(_ registry: Registry) throws(DevClusterError) {
    guard !directory.isLocked,
      let other = registry.entries().first(where: { $0.directory == directory.path })
    else { return }
    throw DevClusterError(
      "a cluster whose directory was \(directory.path) still runs (process \(other.pid)); end it"
        + " with devcluster down")
  }

  private func refused(_ error: DevClusterError) throws(DevClusterError) -> Int32 {
    guard let pipe = options.reportDescriptor else { throw error }
    Descriptor.write(Bytes("-\(error.description)\n"), to: pipe)
    return 1
  }

  /// Runs the supervisor on a loop of its own until it ends.
  private func supervise(
    _ plan: ClusterPlan, wait: Int?, _ reporter: Reporter, _ guardian: Guardian,
    _ registry: Registry
  ) throws(DevClusterError) -> Int32 {
    guard let ends = Descriptor.pipe() else { throw DevClusterError("pipe: \(System.lastError)") }
    let loop = EventLoop(name: "supervisor")
    loop.start()
    var options = options
    if let wait, !options.isWaitGiven { options.wait = wait }
    let supervisor = Supervisor(
      loop: loop, directory: directory, plan: plan, options: options, reporter: reporter,
      guardian: guardian, registry: registry, scenarioFolder: scenarioFolder,
      onEnd: { Descriptor.write([UInt8(truncatingIfNeeded: $0)], to: ends.writing) })
    loop.execute { supervisor.begin() }
    var status = [UInt8](repeating: 1, count: 1)
    guard Descriptor.read(ends.reading, into: &status) == 1 else {
      preconditionFailure("the supervisor's pipe is closed")
    }
    // Nothing else holds it: timers and connections must find it alive.
    withExtendedLifetime(supervisor) { loop.stop() }
    return Int32(status[0])
  }
}
