import Bytes
import EventLoops
import JSON
import Platform

/// Runs scenarios for the status page, one at a time: each is a `devcluster scenario run` with a cluster of its own.
/// Confined to its loop.
final class ScenarioRunner {
  /// Lines of the last run that are kept.
  private static let linesMax = 200
  private let loop: EventLoop
  private let directory: RunDirectory
  /// Where scenarios are looked for: `conf/scenarios` where `up` was called.
  private let folder: String
  /// Program of the cluster's members; `nil` for the etcd beside this program.
  private let binary: String?
  private let worker: WorkerThread
  private var process: ChildProcess?
  private var isClearing = false
  private var file: String?
  private var lines: [String] = []
  /// What the last run ended with.
  private var status: Int32?
  private var isStopped = false
  private var splitter = LineSplitter(lineBytesMax: 4_096)
  /// Called whenever `state` is another one.
  var onChange: () -> Void = {}

  init(
    loop: EventLoop, directory: RunDirectory, folder: String, binary: String?,
    worker: WorkerThread
  ) {
    self.loop = loop
    self.directory = directory
    self.folder = folder
    self.binary = binary
    self.worker = worker
  }

  private var place: String { directory.path + "/scenario" }
  var historyPage: String { place + "/history.html" }

  private var names: [String] {
    (SystemFiles.names(in: folder) ?? []).filter { $0.hasSuffix(".yaml") }.sorted()
  }

  /// For the page.
  var state: JSONObject {
    var object: JSONObject = [
      "files": .array(names.map(JSONValue.string)), "folder": .string(folder),
      "running": .bool(process != nil || isClearing), "lines": .array(lines.map(JSONValue.string)),
      "hasPage": .bool(process == nil && Paths.exists(historyPage)),
    ]
    if let file { object["file"] = .string(file) }
    if let status { object["status"] = .integer(status) }
    return object
  }

  /// Does what a page asks for.
  /// - Throws: `DevClusterError` with the reason why not.
  func perform(_ body: Bytes) throws(DevClusterError) {
    guard let json = try? JSONValue.parse(body) else {
      throw DevClusterError("the body is no JSON")
    }
    if json["stop"]?.bool == true { return stop() }
    guard let name = json["run"]?.string, names.contains(name) else {
      throw DevClusterError("there is no such scenario in \(folder)")
    }
    guard process == nil && !isClearing else {
      throw DevClusterError("\(file ?? "one") runs already")
    }
    start(name, seed: json["seed"]?.integer(as: UInt64.self))
  }

  /// What the last run left is removed first, in a thread of its own: it may be much.
  private func start(_ name: String, seed: UInt64?) {
    file = name
    lines = []
    status = nil
    isStopped = false
    isClearing = true
    onChange()
    let (loop, directory, place) = (loop, directory, place)
    let carrier = LoopConfined(self)
    worker.execute {
      var problem: String?
      do throws(DevClusterError) { try directory.removeTree(place) } catch {
        problem = error.description
      }
      let found = problem
      loop.execute { carrier.value.cleared(name, seed, found) }
    }
  }

  private func cleared(_ name: String, _ seed: UInt64?, _ problem: String?) {
    isClearing = false
    if let problem {
      lines = [problem]
      status = 1
      return onChange()
    }
    do throws(DevClusterError) {
      let own = try System.executable()
      // It ends with this process, however that is ended.
      var words = [
        own, "__member", String(Program.id), own, "scenario", "run", "\(folder)/\(name)", "--dir",
        place,
      ]
      if let binary { words += ["--binary", binary] }
      if let seed { words += ["--seed", String(seed)] }
      var configuration = ChildProcess.Configuration(arguments: words)
      configuration.environment = ProcessEnvironment.entries
      configuration.newGroup = true
      process = try begin(configuration)
    } catch {
      lines = [error.description]
      status = 1
    }
    onChange()
  }

  private func begin(
    _ configuration: ChildProcess.Configuration
  ) throws(DevClusterError) -> ChildProcess {
    do throws(ChannelError) {
      return try ChildProcess(
        loop: loop, configuration, onOutput: { [weak self] _, bytes in self?.took(bytes) },
        onExit: { [weak self] in self?.ended($0) })
    } catch { throw DevClusterError("cannot start the scenario: \(error)") }
  }

  private func took(_ bytes: Bytes) {
    var new: [String] = []
    splitter.add(bytes) { new.append($0.string) }
    lines = (lines + new).suffix(Self.linesMax)
    onChange()
  }

  private func ended(_ exit: ChildProcess.Exit) {
    splitter.finish { lines.append($0.string) }
    if isStopped { lines.append("stopped") }
    if case .exited(let code) = exit { status = Int32(clamping: code) } else { status = 1 }
    if status == ExitStatus.noStart || lines.isEmpty { lines.append("ended with \(exit)") }
    process = nil
    onChange()
  }

  /// Its cluster ends with it.
  func stop() {
    isStopped = true
    process?.kill(Signals.kill, group: true)
  }
}
