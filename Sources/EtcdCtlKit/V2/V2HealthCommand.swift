import Bytes
import CommandLineTool
import EventLoops
import GoText
import HTTP
import JSON
import Platform
import V2API

/// - Source: etcd 3.5 `etcdctl/ctlv2/command/cluster_health.go`.
extension EtcdCtl {
  static let v2HealthCommand = V2Command(
    name: "cluster-health", usage: "check the health of the etcd cluster", argumentsUsage: " ",
    flags: [
      V2Flag(
        ["forever", "f"], .bool, "forever check the health every 10 second until CTRL+C")
    ],
    run: { (invocation) throws(CommandFailure) in
      let client = try V2Client(invocation, syncs: false)
      let isForever = invocation.words.bool("forever")
      if isForever { client.endWithInterrupt() }
      let members: [V2Member]
      do throws(V2Failure) {
        members = try V2Members(client, deadline: nil).list()
      } catch {
        invocation.console.print("cluster may be unhealthy: failed to list members\n")
        throw error.told(invocation, exitCode: V2Failure.serverError)
      }
      while true {
        let healthy = members.count { V2Health(member: $0, client: client).isHealthy() }
        switch healthy {
        case members.count: invocation.console.print("cluster is healthy\n")
        case 0: invocation.console.print("cluster is unavailable\n")
        default: invocation.console.print("cluster is degraded\n")
        }
        guard isForever else {
          if healthy == members.count { return }
          throw .told(exitCode: V2Failure.clusterNotHealthy)
        }
        invocation.console.print("\nnext check after 10 second...\n\n")
        Program.sleep(milliseconds: 10_000)
      }
    })
}

extension V2Client {
  /// Ends the process with success when it is interrupted.
  func endWithInterrupt() {
    let gate = Gate()
    let world = invocation.world
    loop.execute { [loop] in
      // One that cannot be caught ends the process, as it would have without us.
      _ = try? loop.onSignal(Signals.interrupt) { _ in world.exit(0) }
      gate.open()
    }
    gate.wait()
  }
}

/// One member, asked for its health.
private struct V2Health {
  let member: V2Member
  let client: V2Client

  /// Asks, and tells what came out.
  func isHealthy() -> Bool {
    guard !member.clientURLs.isEmpty else {
      say("member \(member.id) is unreachable: no available published client urls")
      return false
    }
    for url in member.clientURLs {
      do throws(V2Failure) {
        let isHealthy = try ask(url)
        say(
          isHealthy
            ? "member \(member.id) is healthy: got healthy result from \(url)"
            : "member \(member.id) is unhealthy: got unhealthy result from \(url)")
        return isHealthy
      } catch {
        say("failed to check the health of member \(member.id) on \(url): \(error.message)")
      }
    }
    say(
      "member \(member.id) is unreachable: [\(member.clientURLs.joined(separator: " "))] "
        + "are all unreachable")
    return false
  }

  /// A server asks its quorum first, and gives that up after five seconds and two elections. Go's client waits for ever.
  private static let answerTimeout = Duration.seconds(60)

  private func say(_ line: String) { client.invocation.console.print(line + "\n") }

  private func ask(_ url: String) throws(V2Failure) -> Bool {
    let page = url + "/health"
    let endpoint: V2Endpoint
    do throws(GoURL.Failure) { endpoint = try V2Endpoint(page) } catch {
      throw .other(error.description)
    }
    guard let origin = endpoint.origin else {
      let scheme = GoQuote.text(endpoint.scheme)
      throw .other("Get \(GoQuote.text(page)): unsupported protocol scheme \(scheme)")
    }
    let answer: V2Answer
    do throws(V2Failure) {
      answer = try client.transport.send(
        HTTPClientRequest("GET", origin, endpoint.target), page,
        headTimeout: Self.answerTimeout, deadline: nil)
    } catch {
      throw .other("Get \(GoQuote.text(page)): \(error.message)")
    }
    guard let health = JSONValue.body(of: answer) else {
      throw .other("the answer is no JSON: \(GoQuote.text(answer.body.prefix(64).string))")
    }
    return health["health"]?.string == "true" || health["health"]?.bool == true
  }
}
