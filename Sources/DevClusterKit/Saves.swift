import FileSystem
import JSON
import Platform

/// Copies of all data under a name. Blocks; while it works no member runs, or all are frozen.
struct Saves {
  let directory: RunDirectory

  private func place(_ name: String) throws(DevClusterError) -> String {
    let isName = !name.isEmpty && !name.hasPrefix(".") && !name.contains("/")
    guard isName else { throw DevClusterError.usage("'\(name)' is no name for saved data") }
    return directory.saves + "/" + name
  }

  func perform(_ work: FleetLife.FileWork, _ plan: ClusterPlan) throws(DevClusterError) {
    switch work {
    case .save(let name): try save(name, plan)
    case .load(let name): try load(name, plan)
    case .reset:
      for member in plan.members { try directory.removeTree(member.dataDirectory) }
    }
  }

  private func save(_ name: String, _ plan: ClusterPlan) throws(DevClusterError) {
    let place = try place(name)
    let new = place + ".new"
    try directory.removeTree(new)
    try System.makeDirectory(new)
    for member in plan.members where Paths.exists(member.dataDirectory) {
      try copy(member.dataDirectory, to: "\(new)/\(member.name)")
    }
    try System.replace(new + "/cluster.json", ClusterFile.text(plan))
    try directory.removeTree(place)
    do throws(SystemError) { try Paths.rename(new, to: place) } catch {
      throw DevClusterError("cannot keep \(place): \(error)")
    }
  }

  /// Whether data can be brought back: before anything is given up for them.
  /// - Returns: where they are.
  @discardableResult
  func check(_ name: String, _ plan: ClusterPlan) throws(DevClusterError) -> String {
    let place = try place(name)
    guard let text = System.read(place + "/cluster.json"),
      let saved = ClusterFile.plan(text, directory: plan.directory)
    else {
      let names = (SystemFiles.names(in: directory.saves) ?? []).filter { !$0.hasPrefix(".") }
      let known =
        names.isEmpty ? "nothing was saved" : "saved are \(names.sorted().joined(separator: ", "))"
      throw DevClusterError("there are no saved data '\(name)': \(known)")
    }
    guard saved.members.map(\.name) == plan.members.map(\.name) else {
      throw DevClusterError(
        "'\(name)' has data of \(saved.names), and the cluster now is \(plan.names); it needs the same"
          + " members")
    }
    return place
  }

  /// Brings data back, of the same members.
  private func load(_ name: String, _ plan: ClusterPlan) throws(DevClusterError) {
    let place = try check(name, plan)
    for member in plan.members {
      try directory.removeTree(member.dataDirectory)
      let copy = "\(place)/\(member.name)"
      if Paths.exists(copy) { try self.copy(copy, to: member.dataDirectory) }
    }
  }

  /// Copies a directory, sharing its blocks where the file system can do that.
  private func copy(_ from: String, to: String) throws(DevClusterError) {
    #if os(Linux)
      let words = ["cp", "-a", "--reflink=auto", from, to]
    #else
      let words = ["cp", "-Rc", from, to]
    #endif
    if let slash = to.lastIndex(of: "/") { try System.makeDirectory(String(to[..<slash])) }
    let status: Int32
    do throws(SystemError) {
      status = try Program.run(words, environment: ProcessEnvironment.entries) { _ in }
    } catch { throw DevClusterError("cannot run cp: \(error)") }
    guard status == 0 else {
      throw DevClusterError("cannot copy \(from) to \(to): cp ended with status \(status)")
    }
  }
}
