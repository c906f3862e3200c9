import CommandLineTool
import JSON
import Platform

/// `devcluster open`: the status page of a running cluster.
extension DevCluster {
  static func open(_ perform: @escaping Perform) -> Command {
    var command = Command("open", short: "Opens the status page in a browser")
    command.long = """
      Has the running cluster serve its status page on 127.0.0.1, prints the URL, which has a token that lets
      whoever knows it do with the cluster as the page does, and opens it in a browser where there is one.
      """
    command.flags = [CommandFlag("no-browser", .bool, "print the URL alone")]
    command.run = running(perform) { (call) throws(DevClusterError) in
      try checkCount(call, "open", atMost: 0)
      return .open(startsBrowser: !call.bool("no-browser"))
    }
    return command
  }

  static func open(
    _ directory: RunDirectory, startsBrowser: Bool
  ) throws(DevClusterError) {
    var client = try ControlClient(directory)
    let answer = try client.ask(.page)
    System.print(answer["url"]?.string ?? "")
    guard startsBrowser, let browser = browser() else { return }
    // By a file's path: the list of processes shows no token.
    do throws(SystemError) {
      try Program.startDetached([browser, directory.pageOpener])
    } catch { throw DevClusterError("cannot run \(browser): \(error)") }
  }

  /// What opens files for people; `nil` where nobody would see it.
  private static func browser() -> String? {
    #if os(Linux)
      let variables = ProcessEnvironment.variables
      let hasScreen = ["DISPLAY", "WAYLAND_DISPLAY"].contains { variables[$0]?.isEmpty == false }
      return hasScreen ? try? System.program("xdg-open") : nil
    #else
      return try? System.program("open")
    #endif
  }
}
