import Bytes
import Calls
import EtcdAPI
import EtcdConfig
import EventLoops
import Protobuf
import Testing

@testable import EtcdServer

/// The alarm of a member whose quota is used up: one, however many requests are refused.
@Suite(.timeLimit(.minutes(5))) struct QuotaAlarmTests {
  private typealias API = Etcdserverpb

  /// No request fits.
  private static var full: ServerConfig {
    var config = ServerConfig()
    config.quotaBackendBytes = 1
    return config
  }

  /// Whether a put is refused because of the quota.
  private func isRefused(_ server: ServerUnderTest) async -> Bool {
    let put = API.PutRequest(key: "k", value: "v").encoded()
    do { _ = try await server.unary(API.KVService.put.path, put) } catch {
      return "\(error)".contains(EtcdError.noSpace.message)
    }
    return false
  }

  private func raised(_ server: ServerUnderTest) -> Int {
    server.messages.count { $0 == "alarm raised" }
  }

  @Test func aFloodOfRefusedRequestsRaisesOneAlarm() async throws {
    try await withServer(Self.full) { server in
      let put = API.PutRequest(key: "k", value: "v").encoded()
      let statuses = try await server.unary(API.KVService.put.path, put, times: 300)
      #expect(statuses.allSatisfy { $0.message == EtcdError.noSpace.message })
      #expect(statuses.count == 300)
      // Refused means not applied.
      let range = try await server.unary(
        API.KVService.range.path, API.RangeRequest(key: "k").encoded())
      #expect(try API.RangeResponse.decode(range).count == 0)
      #expect(raised(server) == 1)
      // Until it is there, and from then on, none is proposed again.
      var alarms: [API.AlarmMember] = []
      while alarms.isEmpty {
        let answer = try await server.unary(API.MaintenanceService.alarm.path, Bytes())
        alarms = try API.AlarmResponse.decode(answer).alarms
      }
      #expect(alarms.map(\.alarm) == [.nospace])
      #expect(await isRefused(server))
      #expect(raised(server) == 1)
      // Who takes it away while the quota is used up finds it raised again.
      let off = API.AlarmRequest(
        action: .deactivate, memberID: alarms[0].memberID, alarm: .nospace)
      _ = try await server.unary(API.MaintenanceService.alarm.path, off.encoded())
      #expect(await isRefused(server))
      #expect(raised(server) == 2)
    }
  }

  /// Without a leader the proposal fails in the end, and the next refused request makes another.
  @Test func anAlarmThatFailedIsRaisedAgain() async throws {
    let server = try ServerUnderTest(isAlone: false, Self.full)
    // It may fail and be made again meanwhile, but there is one at a time.
    func isOneAtATime() -> Bool {
      raised(server) <= 1 + server.messages.count { $0.contains("failed to raise the alarm") }
    }
    for _ in 0..<20 {
      #expect(await isRefused(server))
      #expect(isOneAtATime())
    }
    #expect(raised(server) >= 1)
    try await server.waitFor("failed to raise the alarm NOSPACE")
    #expect(await isRefused(server))
    #expect(raised(server) >= 2 && isOneAtATime())
    await server.stop()
  }
}
