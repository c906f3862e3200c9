import Platform

/// `devcluster ctl …`: etcdctl, pointed at the cluster. All behind `ctl` is etcdctl's.
struct ControlToolCall {
  let directory: String
  let words: [String]

  /// `nil` when the command line says something else.
  init?(_ words: [String]) {
    var rest = words[...]
    var directory = ".devcluster"
    while let word = rest.first, word != "ctl" {
      rest = rest.dropFirst()
      if word == "--dir", let value = rest.popFirst() {
        directory = value
      } else if word.hasPrefix("--dir=") {
        directory = String(word.dropFirst("--dir=".count))
      } else {
        return nil
      }
    }
    guard rest.popFirst() == "ctl" else { return nil }
    if let first = rest.first, first.hasPrefix("--dir=") {
      directory = String(first.dropFirst("--dir=".count))
      rest = rest.dropFirst()
    } else if rest.first == "--dir", rest.count > 1 {
      directory = rest[rest.startIndex + 1]
      rest = rest.dropFirst(2)
    }
    self.directory = directory
    self.words = Array(rest)
  }

  /// Becomes etcdctl.
  /// - Returns: only when that is impossible: an exit status.
  func run() -> Int32 {
    do throws(DevClusterError) {
      let plan = try RunDirectory(directory).existingPlan()
      var environment = ["ETCDCTL_API": "3"]
      for pair in EnvironmentLines(plan).pairs { environment[pair.name] = pair.value }
      let program: String
      do throws(DevClusterError) { program = try MemberProgram.beside("etcdctl") } catch {
        program = try System.program("etcdctl")
      }
      Program.become([program] + words, adding: environment)
      throw DevClusterError("cannot run \(program): \(System.lastError)")
    } catch {
      System.complain(error.description)
      return error.code
    }
  }
}
