import Bytes
import EtcdAPI
import EtcdConfig
import Protobuf
import Testing

@testable import EtcdServer

/// A quota that is nearly used up, used up, and has room again.
@Suite(.timeLimit(.minutes(5))) struct SpaceTests {
  private typealias API = Etcdserverpb

  @Test func eachLevelIsWarnedOfOnce() {
    var watch = SpaceWatch(quota: 1000, disarms: false)
    func look(_ used: Int) -> [SpaceWatch.Action] { watch.look(used: used, isRaised: true) }
    #expect(look(0) == [] && look(699) == [])
    #expect(look(700) == [.warn(70)] && look(750) == [])
    #expect(look(795) == [] && look(805) == [.warn(80)])
    // Around a level it is said once; far below, it may be said again.
    #expect(look(795) == [] && look(801) == [])
    #expect(look(740) == [] && look(801) == [.warn(80)])
    #expect(look(2000) == [.warn(200)] && look(900) == [] && look(2000) == [])
    #expect(look(100) == [] && look(950) == [.warn(95)])
    var none = SpaceWatch(quota: 0, disarms: true)
    #expect(none.look(used: 5, isRaised: true) == [])
    var large = SpaceWatch(quota: .max, disarms: true)
    #expect(large.look(used: .max, isRaised: false) == [.warn(100)])
  }

  @Test func theAlarmGoesBelowItsThresholdAlone() {
    var watch = SpaceWatch(quota: 1000, disarms: true)
    #expect(watch.look(used: 1000, isRaised: true) == [.warn(100)])
    #expect(watch.look(used: 900, isRaised: true) == [])
    #expect(watch.look(used: 899, isRaised: true) == [.disarm])
    #expect(watch.look(used: 899, isRaised: false) == [])
    var off = SpaceWatch(quota: 1000, disarms: false)
    #expect(off.look(used: 10, isRaised: true) == [])
  }

  /// Fill, delete, compact: with the flag that is all, without it the alarm stays as in Go.
  @Test(arguments: [true, false]) func aClusterHeals(_ disarms: Bool) async throws {
    var config = ServerConfig()
    config.quotaBackendBytes = 2 << 20
    config.disarmsNoSpace = disarms
    try await withServer(config) { server in
      func alarms() async throws -> [API.AlarmMember] {
        try API.AlarmResponse.decode(
          try await server.unary(API.MaintenanceService.alarm.path, Bytes())
        ).alarms
      }
      let value = Bytes([UInt8](repeating: 1, count: 100_000))
      var puts = 0
      var revision: Int64 = 0
      while try await alarms().isEmpty {
        let put = API.PutRequest(key: Bytes("k\(puts % 50)"), value: value).encoded()
        if let answer = try? await server.unary(API.KVService.put.path, put) {
          revision = try API.PutResponse.decode(answer).header?.revision ?? 0
          puts += 1
        }
      }
      #expect(puts > 5)
      try await server.waitFor(
        "the database comes near its quota; compact and defragment, or raise --quota-backend-bytes")
      let delete = API.DeleteRangeRequest(key: "k", rangeEnd: "l").encoded()
      let gone = try await server.unary(API.KVService.deleteRange.path, delete)
      revision = try API.DeleteRangeResponse.decode(gone).header?.revision ?? revision
      let compact = API.CompactionRequest(revision: revision, physical: true).encoded()
      _ = try await server.unary(API.KVService.compact.path, compact)
      let put = API.PutRequest(key: "k", value: "v").encoded()
      guard disarms else {
        // Two looks of the monitor.
        try await Task.sleep(for: .milliseconds(2500))
        #expect(try await alarms().map(\.alarm) == [.nospace])
        #expect((try? await server.unary(API.KVService.put.path, put)) == nil)
        return
      }
      try await server.waitFor("alarm disarmed; there is space again")
      #expect(try await alarms().isEmpty)
      _ = try await server.unary(API.KVService.put.path, put)
      #expect(try await alarms().isEmpty, "it does not come back")
    }
  }
}
