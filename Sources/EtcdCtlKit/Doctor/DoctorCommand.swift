import Bytes
import CommandLineTool
import EtcdAPI
import EventLoops
import GoText
import JSON

/// `etcdctl doctor`: ours, Go's etcdctl has none.
extension EtcdCtl {
  static func doctorCommand(_ world: World) -> Command {
    var doctor = command(
      "doctor", "Examines the cluster and says what to do about what it finds"
    ) { (invocation) throws(CommandFailure) in try examine(invocation, world) }
    doctor.long = """
      Asks the endpoints, and the members that none of them belongs to, for their status, their
      metrics, their certificates and their clocks, and makes a linearizable read at each. Members of
      Go are examined as far as they answer.

      Exits with 0 when all is well, 1 for warnings, 2 when something is broken.
      """
    return doctor
  }

  private static func examine(
    _ invocation: Invocation, _ world: World
  ) throws(CommandFailure) {
    let context = try Context(invocation, world, signsIn: false)
    let probe = DoctorProbe(
      settings: context.settings, loop: context.loop, now: world.preciseNow)
    var facts = DoctorFacts()
    do throws(ClientFailure) {
      facts = try Context.wait { () async throws(ClientFailure) in await probe.facts() }
    } catch { throw CommandFailure(error.message) }
    facts.ownCertificates = DoctorProbe.ownCertificates(context.settings)
    let findings = DoctorChecks.findings(facts)
    try context.printer.show(DoctorReport.views(findings))
    let code = DoctorChecks.exitCode(findings)
    if code != 0 { throw .told(exitCode: code) }
  }
}

/// How findings are shown.
enum DoctorReport {
  static func views(_ findings: [DoctorFinding]) -> Views {
    Views(
      simple: { out in
        for finding in findings { out.append(lines(finding)) }
        out.append(summary(findings) + "\n")
      },
      json: {
        let list = findings.map { finding -> JSONValue in
          var object = GoObject()
          object.always("level", .string(finding.level.name))
          object.always("check", .string(finding.check))
          object.always("message", .string(finding.message))
          object.text("advice", finding.advice)
          return object.json
        }
        return ["verdict": .string(verdict(findings).name), "findings": .array(list)]
      },
      fields: { text in
        for finding in findings {
          text.quoted("Level", finding.level.name)
          text.quoted("Check", finding.check)
          text.quoted("Message", finding.message)
          text.quoted("Advice", finding.advice)
          text.line()
        }
        text.quoted("Verdict", verdict(findings).name)
      },
      table: (
        ["level", "check", "message", "advice"],
        findings.map { [$0.level.name, $0.check, $0.message, $0.advice] }
      ))
  }

  static func verdict(_ findings: [DoctorFinding]) -> DoctorFinding.Level {
    let worst = findings.map(\.level).max() ?? .ok
    return worst == .skipped ? .ok : worst
  }

  private static func lines(_ finding: DoctorFinding) -> String {
    let level = finding.level.name
    let gap = String(repeating: " ", count: Swift.max(0, 9 - level.count))
    let line = "\(level)\(gap)\(finding.check): \(finding.message)\n"
    return finding.advice.isEmpty ? line : line + "         -> \(finding.advice)\n"
  }

  static func summary(_ findings: [DoctorFinding]) -> String {
    func count(_ level: DoctorFinding.Level) -> Int { findings.count { $0.level == level } }
    switch verdict(findings) {
    case .ok, .skipped: return "The cluster is well."
    case .warning: return "The cluster works; warnings: \(count(.warning))."
    case .critical: return "Broken: \(count(.critical)); warnings: \(count(.warning))."
    }
  }
}
