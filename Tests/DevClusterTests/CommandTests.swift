import CommandLineTool
import DiskFaults
import Synchronization
import Testing

@testable import DevClusterKit

@Suite struct CommandTests {
  private struct Ran: Sendable {
    var status: Int32 = 0
    var output = ""
    var error = ""
    var order: Order?
    var directory = ""
  }

  private func run(_ line: String, status: Int32 = 0) -> Ran {
    let ran = Mutex(Ran())
    let console = Console(
      print: { text in ran.withLock { $0.output += text } },
      printError: { text in ran.withLock { $0.error += text } })
    let code = DevCluster.tool { (order, directory) throws(DevClusterError) in
      ran.withLock { ($0.order, $0.directory) = (order, directory) }
      return status
    }.run(line.split(separator: " ").map(String.init), console: console)
    return ran.withLock { ran in
      ran.status = code
      return ran
    }
  }

  /// Numbers are decimal, as they are checked: 010 is ten, and 09 no broken octal number.
  @Test func numbersAreDecimal() {
    var up = UpOptions()
    up.wait = 10
    up.isWaitGiven = true
    up.ports = .base(9_999)
    #expect(run("up --wait 010 --base-port 09999").order == .up(up))
  }

  @Test func commandsAreRead() {
    var up = UpOptions()
    #expect(run("up").order == .up(up))
    up.size = 5
    up.detach = true
    up.binary = "/e,x"
    up.binaries = ["m2": "/f=g"]
    up.ports = .base(20_000)
    up.wait = 5
    up.isWaitGiven = true
    up.extra = ["--pre-vote=false", "--", "-x"]
    let line =
      "up --binary /e,x -d 5 --binary=m2=/f=g --base-port 20000 --wait=5 --dir x -- --pre-vote=false"
      + " -- -x"
    #expect(run(line).order == .up(up))
    #expect(run(line).directory == "x")
    var alone = UpOptions()
    alone.extra = ["3"]
    #expect(run("up -- 3").order == .up(alone), "a flag's value, not a size")
    alone = UpOptions()
    alone.reportDescriptor = 3
    #expect(run("up --report-fd 3").order == .up(alone))
    #expect(run("logs").order == .logs(LogOptions()))
    var logs = LogOptions()
    logs.members = ["m1"]
    logs.follow = true
    logs.count = 5
    logs.since = 60_000_000_000
    logs.level = .warn
    logs.grep = "x"
    #expect(run("logs -f m1 -n 5 --since 1m --level warn --grep x").order == .logs(logs))
    for action in MemberAction.allCases {
      #expect(
        run("\(action.rawValue) m3 leader").order
          == .ask(.member(action, ["m3", "leader"], wait: 15)))
    }
    var cluster = UpOptions()
    cluster.binary = "/e"
    cluster.binaries = ["m2": "/f"]
    cluster.security = .own
    cluster.watchesDisks = false
    let scenario = run(
      "scenario run f --seed 7 --through http://a --binary /e --binary m2=/f --tls --disk-faults=false"
    )
    #expect(
      scenario.order
        == .scenario(.run(file: "f", seed: 7, through: ["http://a"], cluster)))
    #expect(scenario.directory.contains("devcluster-scenario-"))
    cluster.ports = .auto
    cluster.relay = .all
    cluster.auth = true
    #expect(run("up " + cluster.clusterWords.joined(separator: " ")).order == .up(cluster))
    #expect(run("scenario list").order == .scenario(.list("conf/scenarios")))
    #expect(run("scenario check h --dir d").order == .scenario(.check("h")))
    #expect(run("start all --wait 3").order == .ask(.member(.start, ["all"], wait: 3)))
    #expect(run("env --dir /x").order == .environment(.sh))
    #expect(run("add --learner").order == .ask(.add(learner: true, wait: 15)))
    #expect(run("remove m4").order == .ask(.remove(["m4"])))
    #expect(run("upgrade all 3.5.30").order == .upgrade(["all"], "3.5.30", wait: 15))
    #expect(run("save x").order == .snapshot(.save, "x"))
    #expect(run("events -f --json").order == .events(follow: true, isJSON: true))
    var secured = UpOptions()
    secured.security = .own
    secured.auth = true
    secured.ports = .auto
    #expect(run("up --tls --auth --ports auto").order == .up(secured))
    #expect(run("run --tls --auth --ports auto -- a -b").order == .run(secured, ["a", "-b"]))
    func disk(_ rule: DiskRule, _ who: String..., seconds: UInt64? = nil) -> Order {
      let order = FaultOrder(
        .disk(rule), from: who, to: [], isOneWay: false,
        duration: seconds.map { $0 * 1_000_000_000 })
      return .ask(.fault(order))
    }
    #expect(
      run("disk leader m1 slow 20ms --for 5s").order
        == disk(DiskRule(delay: 20_000_000), "leader", "m1", seconds: 5))
    #expect(run("disk all full").order == disk(DiskRule(failure: .full), "all"))
    #expect(run("disk m1 fail").order == disk(DiskRule(failure: .fail), "m1"))
    #expect(run("disk m1 ok").order == disk(DiskRule(), "m1"))
    #expect(run("--dir /x status").directory == "/x")
    #expect(run("status").directory == ".devcluster")
    #expect(run("down").order == .down && run("clean").order == .clean)
  }

  @Test func helpNamesWhatThereIs() {
    for words in ["", "help", "--help", "-h"] {
      let ran = run(words)
      #expect(ran.order == nil && ran.status == 0 && ran.error.isEmpty)
      for command in [
        "up", "run", "down", "status", "env", "logs", "pause", "completion", "version",
      ] {
        #expect(ran.output.contains("\n  \(command) "), "\(command)")
      }
    }
    let up = run("up -h")
    #expect(up.output.contains("m6 12399 12400") && up.output.contains("--base-port PORT"))
    #expect(!up.output.contains("report-fd"))
    #expect(run("completion bash").output.contains("__complete"))
    #expect(run("__complete =re").output.contains("restart\tEnds members"))
  }

  @Test func theStatusOfACommandIsThatOfTheProgram() {
    let ran = run("up", status: 7)
    #expect(ran.status == 7 && ran.error.isEmpty)
  }

  @Test(arguments: [
    ("up 0", "a cluster has 1 to 7 members, not '0'"),
    ("up 8", "a cluster has 1 to 7 members, not '8'"),
    ("up three", "a cluster has 1 to 7 members, not 'three'"),
    ("up 3 4", "devcluster up: unexpected '4'"),
    (
      "up --base-port 80",
      "invalid argument \"80\" for \"--base-port\" flag: must be a number from 1024 to 65000"
        + " (see devcluster up --help)"
    ),
    (
      "up --wait soon",
      "invalid argument \"soon\" for \"--wait\" flag: must be a number from 1 to 3600"
        + " (see devcluster up --help)"
    ),
    ("up --binary", "flag needs an argument: --binary (see devcluster up --help)"),
    ("up --binary=", "--binary needs a value"),
    ("up --fats", "unknown flag: --fats; did you mean --fast? (see devcluster up --help)"),
    ("up -x", "unknown shorthand flag: 'x' in -x (see devcluster up --help)"),
    ("status --detach", "unknown flag: --detach (see devcluster status --help)"),
    ("status m1", "devcluster status: unexpected 'm1'"),
    ("status --dir=", "--dir needs a value"),
    ("stop", "devcluster stop needs somebody, such as m1 or leader"),
    ("explode m1", "unknown command \"explode\" for \"devcluster\" (see devcluster --help)"),
    ("cleen", "unknown command \"cleen\" for \"devcluster\"\n\nDid you mean this?\n\tclean\n"),
    (
      "up --tls=odd",
      "invalid argument \"odd\" for \"--tls\" flag: must be own, auto or none (see devcluster up --help)"
    ),
    ("up --ports 80", "--ports is standard, auto or a number from 1024 to 65498, not '80'"),
    ("run", "devcluster run needs a command behind --"),
    ("disk slow 20ms", "devcluster disk needs members and slow 20ms, full, fail or ok"),
    ("disk m1 slow", "devcluster disk WHO slow needs a time, such as 20ms"),
    ("disk m1 slow fast", "'fast' is no time; one is 20ms"),
    ("disk m1 full 3", "devcluster disk: unexpected '3'"),
    ("logs --level loud", "--level is debug, info, warn or error, not 'loud'"),
    ("status -- --name", "only devcluster up takes flags for the members behind --"),
  ])
  func nonsenseIsRefused(_ line: String, _ message: String) {
    let ran = run(line)
    #expect(ran.status == 2 && ran.order == nil && ran.output.isEmpty)
    #expect(ran.error == "devcluster: \(message)\n")
  }
}
