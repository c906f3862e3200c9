import CommandLineTool

/// `up` and `run`. Pure.
extension DevCluster {
  static func up(_ perform: @escaping Perform) -> Command {
    var command = Command(
      "up [N] [-- ETCD FLAGS]", short: "Starts 1 to 7 members and waits until they are healthy")
    command.long = """
      Starts 1 to 7 members (3) and waits until they are healthy. What stands behind -- goes to each of them.
      All of it is remembered: devcluster down, then devcluster up bring back the same cluster.

      Standard ports, clients and peers: m1 12379 12380, m2 22379 22380, m3 32379 32380,
      m4 12389 12390, m5 22389 22390, m6 12399 12400, m7 22399 22400.
      """
    command.flags =
      clusterFlags + [
        CommandFlag(
          "detach", shorthand: "d", .bool, "return when healthy; devcluster down ends the cluster"),
        CommandFlag(
          "logs", .string, default: "warn",
          "show members' lines of this `LEVEL` and above (debug, info, warn, error), or none"),
        CommandFlag(
          "ui", page,
          "serve a status page on 127.0.0.1, on a free port or on `PORT`; its URL has a token (none ends that)"
        ),
        CommandFlag("raw", .bool, "show members' lines as they were written"),
      ] + hiddenFlags
    command.run = running(perform) { (call) throws(DevClusterError) in
      let own = call.arguments.prefix(call.argumentsAtDash ?? call.arguments.count)
      var options = try options(call, Array(own), "up")
      if call.argumentsAtDash != nil { options.extra = Array(call.arguments.dropFirst(own.count)) }
      return .up(options)
    }
    return command
  }

  static func run(_ perform: @escaping Perform) -> Command {
    var command = Command(
      "run [N] -- CMD…", short: "Runs a command with a cluster around it, and removes the cluster")
    command.long = """
      Starts a cluster on free ports in a directory of its own, runs the command with ETCDCTL_*,
      ETCD_ENDPOINTS and DEVCLUSTER_DIR set, ends the cluster and removes it. Ends with the command's status,
      125 when the cluster did not start. When the command fails, the last warnings of each member are shown
      and the directory is kept.
      """
    command.flags = clusterFlags
    command.run = running(perform) { (call) throws(DevClusterError) in
      guard let dash = call.argumentsAtDash, dash < call.arguments.count else {
        throw .usage("devcluster run needs a command behind --")
      }
      let options = try options(call, Array(call.arguments.prefix(dash)), "run")
      return .run(options, Array(call.arguments.dropFirst(dash)))
    }
    return command
  }

  /// What says of a cluster what it is.
  static var clusterFlags: [CommandFlag] {
    [
      CommandFlag(
        "file", shorthand: "f", .string,
        "read the cluster from `FILE` (devcluster.yaml where there is one)"),
      CommandFlag(
        "binary", .stringArray,
        "run this etcd (a `PATH` or a version), or m2=PATH for one member; repeatable (the etcd beside devcluster)"
      ),
      CommandFlag(
        "wait", number(1...3600), default: "60", "give them `SECONDS` to become healthy"),
      CommandFlag(
        "ports", .string, default: "standard",
        "standard, auto (a free block) or the first `PORT` of a block"),
      CommandFlag("base-port", number(1024...65_000), "the same as --ports `PORT`"),
      CommandFlag(
        "tls", tls, "TLS for clients and peers: own (an authority of the cluster's own) or auto"),
      CommandFlag("auth", .bool, "authentication on, with user root and password root"),
      CommandFlag(
        "direct", .bool,
        "members reach each other and their disks with nothing between that makes faults"),
      CommandFlag("client-relay", .bool, "clients' connections go through the relay as well"),
      CommandFlag(
        "discovery", .bool,
        "members find each other by a discovery service, which runs with the cluster"),
      CommandFlag("fast", .bool, "data in memory where there is room; nothing survives a crash"),
      CommandFlag("snapshot", .string, "begin a new cluster with the keys of this `FILE`"),
      CommandFlag(
        "disk-faults", .bool,
        "devcluster disk works, on Linux (true, but for --fast and --direct: each sync and each write costs 10 µs more)"
      ),
    ]
  }

  private static var hiddenFlags: [CommandFlag] {
    var report = CommandFlag("report-fd", number(3...1024), "where a detached supervisor reports")
    report.isHidden = true
    var tether = CommandFlag("tethered", .bool, "ends with whoever reads the report")
    tether.isHidden = true
    return [report, tether]
  }

  /// `--tls`, `--tls=own`, `--tls=auto`, `--tls=none`.
  private static let tls = FlagKind(typeName: "mode", zero: "", bare: "own") { text in
    ClusterPlan.Security(rawValue: text) == nil ? "must be own, auto or none" : nil
  }

  /// `--ui`, `--ui=PORT`, `--ui=none`.
  private static let page = FlagKind(typeName: "port", zero: "", bare: "auto") { text in
    PagePlan(text) == nil
      ? "must be auto, none or a port from \(PagePlan.ports.lowerBound) to \(PagePlan.ports.upperBound)"
      : nil
  }

  static func options(
    _ call: Invocation, _ own: [String], _ name: String
  ) throws(DevClusterError) -> UpOptions {
    var options = UpOptions()
    if let second = own.dropFirst().first {
      throw .usage("devcluster \(name): unexpected '\(second)'")
    }
    if let size = own.first {
      guard let number = Int(size), ClusterPlan.sizes.contains(number) else {
        throw .usage(
          "a cluster has \(ClusterPlan.sizes.lowerBound) to \(ClusterPlan.sizes.upperBound)"
            + " members, not '\(size)'")
      }
      options.size = number
    }
    for given in call.all("binary") {
      guard !given.isEmpty else { throw .usage("--binary needs a value") }
      if let (member, path) = memberBinary(given) {
        options.binaries[member] = path
      } else {
        options.binary = given
      }
    }
    // As they were checked, in decimal: pflag's numbers read 010 as eight.
    options.wait = Int(call.string("wait")) ?? options.wait
    options.isWaitGiven = call.isGiven("wait")
    options.file = call.isGiven("file") ? call.string("file") : nil
    options.ports = try ports(call)
    options.security =
      call.isGiven("tls") ? ClusterPlan.Security(rawValue: call.string("tls")) : nil
    options.auth = call.bool("auth")
    guard !call.bool("direct") || !call.bool("client-relay") else {
      throw .usage("--direct has no relay, and --client-relay one for clients too")
    }
    options.relay =
      call.bool("direct") ? ClusterPlan.Relaying.none : call.bool("client-relay") ? .all : nil
    options.isDiscovered = call.isGiven("discovery") ? call.bool("discovery") : nil
    options.isFast = call.bool("fast")
    options.snapshot = call.isGiven("snapshot") ? call.string("snapshot") : nil
    options.watchesDisks = call.isGiven("disk-faults") ? call.bool("disk-faults") : nil
    try readOwn(call, &options)
    return options
  }

  /// What `up` alone has.
  private static func readOwn(
    _ call: Invocation, _ options: inout UpOptions
  ) throws(DevClusterError) {
    guard call.has("detach") else { return }
    options.detach = call.bool("detach")
    options.isRaw = call.bool("raw")
    options.page = call.isGiven("ui") ? PagePlan(call.string("ui")) : nil
    options.isTethered = call.bool("tethered")
    options.reportDescriptor =
      call.isGiven("report-fd") ? Int32(call.string("report-fd")) : nil
    let level = call.string("logs")
    options.logs = level == "none" ? nil : LogLine.Level(level == "all" ? "debug" : level)
    if options.logs == nil && level != "none" {
      throw .usage("--logs is debug, info, warn, error or none, not '\(level)'")
    }
  }

  private static func ports(_ call: Invocation) throws(DevClusterError) -> UpOptions.Ports? {
    if call.isGiven("base-port") {
      guard !call.isGiven("ports") else { throw .usage("--base-port and --ports say the same") }
      return Int(call.string("base-port")).map(UpOptions.Ports.base)
    }
    guard call.isGiven("ports") else { return nil }
    switch call.string("ports") {
    case "standard": return .standard
    case "auto": return .auto
    case let text:
      let last = 65_535 - PortPlan.blockSize
      guard let port = Int(text), (1024...last).contains(port) else {
        throw .usage("--ports is standard, auto or a number from 1024 to \(last), not '\(text)'")
      }
      return .base(port)
    }
  }

  /// Takes `m2=PATH` apart.
  private static func memberBinary(_ text: String) -> (String, String)? {
    guard let equals = text.firstIndex(of: "=") else { return nil }
    let name = text[..<equals]
    guard name.first == "m", let index = Int(name.dropFirst()), index >= 1 else { return nil }
    return (String(name), String(text[text.index(after: equals)...]))
  }
}
