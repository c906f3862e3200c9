import Bytes
import EtcdAPI
import EventLoops
import Foundation
import Protobuf
import TestSupport
import Testing

/// The same random requests of every service to Go's server and to ours, over gRPC and over the JSON gateway, broken
/// JSON among them: every answer is equal. `SERVICE_REQUESTS` sets how many.
@Suite(.serialized) struct ServicesDifferentialTests {
  private typealias API = Etcdserverpb

  static let requests =
    Int(ProcessInfo.processInfo.environment["SERVICE_REQUESTS"] ?? "") ?? 4_000

  @Test(.enabled(if: Binaries.go35 != nil)) @MainActor func everyAnswerIsEqual() async throws {
    let official = try #require(Binaries.go35)
    let clusters = [official, Binaries.ours].map {
      Cluster([$0], extra: AuthTests.cheap + ["--unsafe-no-fsync"])
    }
    for cluster in clusters { try cluster.start() }
    let loop = EventLoop(name: "services")
    loop.start()
    defer { loop.stop() }
    var sides: [ServiceSide] = []
    for cluster in clusters {
      sides.append(try await ServiceSide(cluster.members[0].clientPort, loop))
    }
    defer { for side in sides { side.close() } }
    var calls = ServiceCalls(.printed("services"))
    var counts: [String: Int] = [:]
    var served = 0
    var differences: [String] = []
    for number in 0..<Self.requests where differences.count < 8 {
      let step = try calls.next()
      let way = step.isForGateway ?? calls.chance(3) ? ServiceWay.gateway : .grpc
      let (go, mine) = (sides[0], sides[1])
      async let theirs = Self.ask(step, go, way)
      let (call, ours, real): (ServiceCall, ServiceAnswer, ServiceAnswer)
      do {
        (call, ours) = try await Self.ask(step, mine, way)
        real = try await theirs.1
      } catch {
        let logs = clusters.map { $0.members[0].log.suffix(3_000) }
        differences.append("\(number) \(step): \(error)\n\(logs)")
        break
      }
      counts[call.method.service + (way == .gateway ? " (gateway)" : ""), default: 0] += 1
      if ours.refusal == nil { served += 1 }
      if real != ours {
        differences.append("\(number) \(way) \(call.text)\n  real: \(real)\n  ours: \(ours)")
      }
      if let revision = DifferentialTests.revision(in: ours.body) { calls.keys.revision = revision }
      if call.method.name == "Alarm" {
        // Only the list of all alarms tells that there is none.
        let isList = call.json == "{}" && ours.refusal == nil
        calls.isFull = !isList && calls.isFull || (ours.body + call.json.string).contains("NOSPACE")
      }
      if call.method.name == "Campaign",
        let leader = try? V3electionpb.CampaignResponse(json: Bytes(ours.body)).leader
      {
        calls.leaders.append(leader)
      }
    }
    print("services: \(counts.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" })")
    #expect(differences.isEmpty, "\(differences.joined(separator: "\n"))")
    #expect(served > Self.requests / 3)
    #expect(counts.count >= 14, "\(counts)")
  }

  private static func ask(
    _ step: ServiceCalls.Step, _ side: ServiceSide, _ way: ServiceWay
  ) async throws -> (ServiceCall, ServiceAnswer) {
    let call: ServiceCall
    switch step {
    case .same(let same), .raw(let same): call = same
    case .member(let url, let make):
      let list = ServiceCall(API.ClusterService.memberList, API.MemberListRequest())
      let members = try await side.reply(API.MemberListResponse.self, list).members
      call = make(members.first { $0.peerURLs.contains(url) }?.id ?? 7)
    }
    var answer = await side.ask(call, by: way)
    if answer.refusal == nil { answer.body = normal(answer.body, call) }
    // Numbers of members come from their URLs and the second: what is there already is found by either.
    let isThere = [
      "member ID already exist", "Peer URLs already exists", "too many learner members",
    ]
    if call.method.name == "MemberAdd", isThere.contains(where: answer.reason.contains) {
      answer = ServiceAnswer(refusal: "not added")
    }
    return (call, answer)
  }

  /// Without what must differ: numbers of members, sizes, the time that is left, and orders that Go leaves to chance.
  private static func normal(_ body: String, _ call: ServiceCall) -> String {
    do {
      let json = Bytes(body)
      switch call.method.name {
      case "LeaseTimeToLive":
        var answer = try API.LeaseTimeToLiveResponse(json: json)
        answer.ttl = min(answer.ttl, 1)
        answer.keys.sort()
        return answer.json().string
      case "LeaseLeases":
        var answer = try API.LeaseLeasesResponse(json: json)
        answer.leases.sort { $0.id < $1.id }
        return answer.json().string
      case "Hash": return "a hash"
      case "Status":
        let answer = try API.StatusResponse(json: json)
        return "\(answer.header?.revision ?? 0) \(answer.isLearner) \(answer.errors.sorted())"
      case "Alarm":
        var answer = try API.AlarmResponse(json: json)
        answer.alarms.sort { ($0.alarm.rawValue, $0.memberID) < ($1.alarm.rawValue, $1.memberID) }
        return answer.json().string
      case "MemberList": return members(try API.MemberListResponse(json: json).members)
      case "MemberAdd":
        let answer = try API.MemberAddResponse(json: json)
        return "\(members([answer.member].compactMap(\.self))) of \(members(answer.members))"
      case "MemberRemove": return members(try API.MemberRemoveResponse(json: json).members)
      case "MemberUpdate": return members(try API.MemberUpdateResponse(json: json).members)
      case "MemberPromote": return members(try API.MemberPromoteResponse(json: json).members)
      default: return body
      }
    } catch { return body }
  }

  /// In order of their URLs: their numbers come from the time. The first one has ports of its own.
  private static func members(_ members: [API.Member]) -> String {
    members.map { member in
      "\(member.isLearner) \(member.isLearner ? member.peerURLs : []) \(member.name)"
    }.sorted().joined(separator: "; ")
  }
}
