import Bytes
import EtcdAPI
import EventLoops
import Foundation
import GRPC
import Protobuf
import TestSupport
import Testing

/// Attacks of clients on a real cluster, a few seconds each (CASES.md, S rows). The bounds count bytes,
/// requests and leaders, so that a slow machine does not make them lie.
@Suite(.serialized) struct HostileTests {
  typealias API = Etcdserverpb

  /// S1: numbers at their ends, on client and peer ports, without a login.
  @Test func oddHeadersEndNobody() throws {
    let victims = try Victims()
    let request = victims.cluster.scratch.path + "/request"
    // A range of the key "k", behind its five bytes.
    try Data([0, 0, 0, 0, 3, 0x0a, 1, 0x6b]).write(to: URL(fileURLWithPath: request))
    for member in victims.cluster.members {
      for port in [member.clientPort, member.peerPort] {
        for timeout in [
          "99999999H", "99999999M", "99999999S", "99999999m", "99999999u", "99999999n", "0n", "1n",
          "00000000H", "999999999999999999999H", "-1S", "H", "",
        ] {
          _ = run(
            "/usr/bin/curl",
            [
              "-s", "-m", "5", "--http2-prior-knowledge", "-X", "POST", "-H",
              "content-type: application/grpc", "-H", "te: trailers", "-H",
              "grpc-timeout: \(timeout)", "--data-binary", "@\(request)", "-o", "/dev/null",
              "http://127.0.0.1:\(port)/etcdserverpb.KV/Range",
            ])
        }
      }
    }
    try victims.check()
  }

  /// S3: requests without pause, of which no answer is read, on every kind of port.
  @Test func aConnectionThatNeverReadsTakesNoMemory() throws {
    let victims = try Victims()
    let request = Array("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n".utf8)
    let block = Array(repeating: request, count: 500).flatMap { $0 }
    for member in victims.cluster.members {
      for port in [member.clientPort, member.peerPort] {
        let attacker = try Attacker(port: port)
        // Until the member has stopped to read for a while.
        var idle = 0
        var poured = 0
        while idle < 20, poured < 64 << 20 {
          let taken = attacker.pour(block)
          poured += taken
          if taken == 0 {
            idle += 1
            usleep(20_000)
          } else {
            idle = 0
          }
        }
        #expect(poured < 64 << 20, "\(port) reads on and on")
        #expect(httpGet("\(member.endpoint)/version") != nil)
      }
    }
    try victims.check(memoryMax: 64 << 20)
  }

  /// S6: sorts and ranges over every key from many clients, beside which everybody is served.
  @Test func longReadsHoldNobodyUp() async throws {
    let victims = try Victims()
    let ports = victims.cluster.members.map(\.clientPort)
    try await withLoop { loop in
      let filler = try await GRPCClient.attack(ports[0], loop)
      try await fill(filler, keys: 20_000)
      var readers: [GRPCClient] = []
      for number in 0..<6 {
        readers.append(try await GRPCClient.attack(ports[number % 3], loop))
      }
      let range = API.RangeRequest(
        key: "k", rangeEnd: "l", limit: 1, sortOrder: .descend, sortTarget: .value)
      let txn = API.TxnRequest(
        success: [API.RequestOp(request: .requestRange(API.RangeRequest(key: "k", rangeEnd: "l")))])
      let served = try await withThrowingTaskGroup(of: Int.self) { group in
        for (number, reader) in readers.enumerated() {
          group.addTask {
            for _ in 0..<4 {
              if number % 2 == 0 {
                _ = try await reader.unary(
                  API.KVService.range.path, range.encoded(), timeout: .seconds(60))
              } else {
                _ = try await reader.unary(
                  API.KVService.txn.path, txn.encoded(), timeout: .seconds(60))
              }
            }
            return 0
          }
        }
        group.addTask {
          // A small request beside each of them is served long before they are done.
          var served = 0
          for _ in 0..<200 {
            _ = try await filler.unary(
              API.KVService.range.path, API.RangeRequest(key: "k00000001").encoded(),
              timeout: .seconds(20))
            served += 1
          }
          return served
        }
        return try await group.reduce(0, +)
      }
      #expect(served == 200)
      for client in readers + [filler] { client.abort() }
    }
    try victims.check()
    for member in victims.cluster.members {
      #expect(
        Self.longestTurn(member, loop: "etcd-peer") < 0.5, "peers waited for a client's read")
    }
  }

  /// S7: a lease with very many keys is asked about by many at once, and revoked.
  @Test func aLeaseWithManyKeysHoldsNobodyUp() async throws {
    let victims = try Victims()
    let ports = victims.cluster.members.map(\.clientPort)
    try await withLoop { loop in
      let client = try await GRPCClient.attack(ports[0], loop)
      _ = try await client.unary(
        API.LeaseService.leaseGrant.path, API.LeaseGrantRequest(ttl: 3600, id: 7).encoded(),
        timeout: .seconds(20))
      try await fill(client, keys: 20_000, lease: 7)
      let question = API.LeaseTimeToLiveRequest(id: 7, keys: true).encoded()
      for number in 0..<9 {
        let other = try await GRPCClient.attack(ports[number % 3], loop)
        let answer = try await other.unary(
          API.LeaseService.leaseTimeToLive.path, question, timeout: .seconds(30))
        let times = try API.LeaseTimeToLiveResponse.decode(answer.message)
        #expect(times.keys.count == 20_000 && Set(times.keys).count == 20_000)
        other.abort()
      }
      _ = try await client.unary(
        API.LeaseService.leaseRevoke.path, API.LeaseRevokeRequest(id: 7).encoded(),
        timeout: .seconds(60))
      let left = try await client.unary(
        API.KVService.range.path,
        API.RangeRequest(key: "k", rangeEnd: "l", countOnly: true).encoded(), timeout: .seconds(20))
      #expect(try API.RangeResponse.decode(left.message).count == 0)
      client.abort()
    }
    try victims.check()
    let hashes = Set(
      victims.cluster.members.map { hashKV($0, revision: 0) })
    #expect(hashes.count == 1, "the members have other data: \(hashes)")
  }

  /// S7: a transaction that compares every key, shows it, and deletes it, is one transaction in many steps.
  @Test func aTransactionOverManyKeysHoldsNobodyUp() async throws {
    let victims = try Victims()
    let ports = victims.cluster.members.map(\.clientPort)
    try await withLoop { loop in
      let client = try await GRPCClient.attack(ports[0], loop)
      try await fill(client, keys: 20_000)
      func delete(_ value: Bytes) async throws -> API.TxnResponse {
        let request = API.TxnRequest(
          compare: [
            API.Compare(
              result: .notEqual, target: .value, key: "k", targetUnion: .value(value),
              rangeEnd: "l")
          ],
          success: [
            API.RequestOp(request: .requestRange(API.RangeRequest(key: "k", rangeEnd: "l"))),
            API.RequestOp(
              request: .requestDeleteRange(
                API.DeleteRangeRequest(key: "k", rangeEnd: "l", prevKv: true))),
            API.RequestOp(request: .requestPut(API.PutRequest(key: "after", value: "1"))),
          ])
        let answer = try await client.unary(
          API.KVService.txn.path, request.encoded(), timeout: .seconds(60))
        return try API.TxnResponse.decode(answer.message)
      }
      let answer = try await delete("no value")
      #expect(answer.succeeded && answer.responses.count == 3)
      guard case .responseRange(let range) = answer.responses[0].response,
        case .responseDeleteRange(let gone) = answer.responses[1].response
      else {
        Issue.record("\(answer.responses.map(\.response))")
        return
      }
      #expect(range.count == 20_000 && range.kvs.count == 20_000)
      #expect(gone.deleted == 20_000 && gone.prevKvs.map(\.key) == range.kvs.map(\.key))
      // Nothing is left, and nothing to compare is no value.
      #expect(try await !delete("no value").succeeded)
      client.abort()
    }
    try victims.check()
    let hashes = Set(victims.cluster.members.map { hashKV($0, revision: 0) })
    #expect(hashes.count == 1, "the members have other data: \(hashes)")
  }

  /// S10: a thousand short connections that ask for the page of metrics.
  @Test func scrapesByTheHundredHoldNobodyUp() throws {
    let victims = try Victims()
    let member = victims.cluster.members[0]
    var answered = 0
    for _ in 0..<1000 {
      let attacker = try Attacker(port: member.clientPort)
      attacker.send("GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
      if attacker.receive().hasPrefix("HTTP/1.1 200") { answered += 1 }
    }
    #expect(answered == 1000)
    try victims.check(memoryMax: 64 << 20)
  }

  /// S12, S13: what is under way counts for the quota, and the way out of a full one works at once.
  @Test func theQuotaBoundsTheFile() async throws {
    let quota = 16 << 20
    let victims = try Victims(members: 1, extra: ["--quota-backend-bytes", "\(quota)"])
    let member = victims.cluster.members[0]
    let port = member.clientPort
    try await withLoop { loop in
      let client = try await GRPCClient.attack(port, loop)
      let value = Bytes([UInt8](repeating: 7, count: 1 << 20))
      let refused = await withTaskGroup(of: Bool.self) { group in
        for number in 0..<80 {
          group.addTask {
            let put = API.PutRequest(key: Bytes("big\(number)"), value: value)
            do {
              _ = try await client.unary(
                API.KVService.put.path, put.encoded(), timeout: .seconds(60))
              return false
            } catch { return "\(error)".contains("database space exceeded") }
          }
        }
        return await group.reduce(0) { $0 + ($1 ? 1 : 0) }
      }
      #expect(refused >= 80 - 16)
      func ask(_ path: String, _ request: Bytes) async throws -> Bytes {
        try await client.unary(path, request, timeout: .seconds(60)).message
      }
      _ = try await ask(
        API.KVService.deleteRange.path,
        API.DeleteRangeRequest(key: "b", rangeEnd: "c").encoded())
      let now = try API.RangeResponse.decode(
        try await ask(API.KVService.range.path, API.RangeRequest(key: "x").encoded()))
      _ = try await ask(
        API.KVService.compact.path,
        API.CompactionRequest(revision: now.header?.revision ?? 0).encoded())
      _ = try await ask(API.MaintenanceService.defragment.path, Bytes())
      let status = try API.StatusResponse.decode(
        try await ask(API.MaintenanceService.status.path, Bytes()))
      #expect(status.dbSize < 1 << 20, "the first defragmentation left \(status.dbSize) bytes")
      _ = try await ask(
        API.MaintenanceService.alarm.path,
        API.AlarmRequest(
          action: .deactivate, memberID: status.header?.memberID ?? 0, alarm: .nospace
        ).encoded())
      _ = try await ask(
        API.KVService.put.path, API.PutRequest(key: "after", value: "v").encoded())
      client.abort()
    }
    let file = member.directory + "/member/snap/db"
    let size = try FileManager.default.attributesOfItem(atPath: file)[.size] as? Int ?? 0
    #expect(size < quota + (8 << 20))
  }

  /// S16: names of ten thousand letters that no user has.
  @Test func failedLoginsFillNoDisk() async throws {
    let victims = try Victims(members: 1)
    let member = victims.cluster.members[0]
    for words in [
      ["user", "add", "root:pw"], ["role", "add", "root"], ["user", "grant-role", "root", "root"],
      ["auth", "enable"],
    ] { #expect(victims.cluster.ctl(words).status == 0) }
    let before = member.log.utf8.count
    let port = member.clientPort
    try await withLoop { loop in
      let client = try await GRPCClient.attack(port, loop)
      let login = API.AuthenticateRequest(
        name: String(repeating: "n", count: 10_000), password: "x"
      ).encoded()
      for _ in 0..<1500 {
        _ = try? await client.unary(
          API.AuthService.authenticate.path, login, timeout: .seconds(20))
      }
      client.abort()
    }
    let grown = member.log.utf8.count - before
    #expect(grown > 0 && grown < 1 << 20, "1,500 logins made \(grown) bytes of log")
  }

  // MARK: Helpers

  /// Puts `k00000000` and on, a hundred a transaction.
  private func fill(_ client: GRPCClient, keys: Int, lease: Int64 = 0) async throws {
    for start in stride(from: 0, to: keys, by: 100) {
      let puts = (start..<min(start + 100, keys)).map { number in
        let digits = String(number)
        let key = "k" + String(repeating: "0", count: 8 - digits.count) + digits
        return API.RequestOp(
          request: .requestPut(
            API.PutRequest(
              key: Bytes(key), value: Bytes("\(number &* 7919 % 10_007)"), lease: lease)))
      }
      _ = try await client.unary(
        API.KVService.txn.path, API.TxnRequest(success: puts).encoded(), timeout: .seconds(60))
    }
  }

  /// Seconds of the longest turn of a loop since the page was asked for last.
  private static func longestTurn(_ member: Member, loop: String) -> Double {
    let name = "etcd_debugging_loop_longest_turn_seconds{loop=\"\(loop)\"} "
    let line = httpGet("\(member.endpoint)/metrics")?.split(separator: "\n")
      .first { $0.hasPrefix(name) }
    return line.flatMap { Double($0.dropFirst(name.count)) } ?? 99
  }
}
