import JSON
import Platform

/// `devcluster run N -- CMD`: a cluster for the time of a command.
struct RunCommand {
  let options: UpOptions
  let command: [String]
  let directory: RunDirectory
  let words: [String]

  /// Lines of each member that are shown when the command failed.
  private static let warningsShown = 20

  /// - Returns: the command's exit status; 125 when the cluster did not start.
  func run() throws(DevClusterError) -> Int32 {
    if try directory.plan() != nil {
      throw DevClusterError(
        "\(directory.path) holds a cluster already; run makes one of its own and removes it after")
    }
    let program = try System.program(command[0])
    do throws(DevClusterError) {
      _ = try Detach.run(startWords, directory, isTethered: true)
    } catch {
      System.complain(error.description)
      return ExitStatus.noStart
    }
    let plan = try directory.existingPlan()
    // Ctrl-C is for the command, which gets it as well; the cluster outlives it until the end.
    Signals.ignore([Signals.interrupt])
    let status: Int32
    do throws(SystemError) {
      // It ends with this process, however that is ended.
      status = try Program.run(
        [try executable(), "__member", String(Program.id), program] + command.dropFirst(),
        environment: environment(plan)
      ) { _ in }
    } catch {
      System.complain("cannot run \(command[0]): \(error)")
      try? DevCluster.down(directory)
      return 127
    }
    if status != 0 { showWarnings(plan) }
    try DevCluster.down(directory)
    if status == 0 {
      try directory.remove()
    } else {
      System.complain(
        "\(command[0]) ended with status \(status); logs and data are kept in \(directory.path)")
    }
    return status
  }

  private func executable() throws(SystemError) -> String {
    do throws(DevClusterError) { return try System.executable() } catch { throw .notFound }
  }

  /// The words of `up` that start this cluster: all in front of `--`.
  private var startWords: [String] {
    var words = Array(self.words.prefix { $0 != "--" })
    if let at = words.firstIndex(of: "run") { words[at] = "up" }
    words += ["--tethered", "--dir", directory.path]
    return options.ports == nil ? words + ["--ports", "auto"] : words
  }

  private func environment(_ plan: ClusterPlan) -> [String] {
    let own =
      EnvironmentLines(plan).pairs + [
        (name: "ETCD_ENDPOINTS", value: plan.endpoints), (name: "ETCDCTL_API", value: "3"),
        (name: "DEVCLUSTER_DIR", value: directory.path),
      ]
    let names = Set(own.map(\.name))
    let others = ProcessEnvironment.entries.filter { entry in
      let name = String(entry.prefix { $0 != "=" })
      return !names.contains(name) && !name.hasPrefix("ETCDCTL_")
    }
    return others + own.map { "\($0.name)=\($0.value)" }
  }

  private func showWarnings(_ plan: ClusterPlan) {
    for member in plan.members {
      guard let text = SystemFiles.bytes(of: member.logFile, bytesMax: 64 << 20) else { continue }
      let lines = text.split(separator: 0x0a).map {
        LogLine(String(decoding: $0, as: UTF8.self))
      }
      let warnings = lines.filter { ($0.level ?? .info) >= .warn }.suffix(Self.warningsShown)
      guard !warnings.isEmpty else { continue }
      System.complain("last warnings of \(member.name):")
      for line in warnings { System.complain("  " + line.human) }
    }
  }
}
