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
    let (served, late) = ("grpc-status: 0\r", "grpc-status: 4\r")
    let malformed = "malformed grpc-timeout"
    for member in victims.cluster.members {
      for port in [member.clientPort, member.peerPort] {
        for (timeout, wanted) in [
          ("99999999H", served), ("99999999M", served), ("99999999S", served),
          ("99999999m", served), ("99999999u", served), ("", served),
          // A tenth of a second may be over.
          ("99999999n", "grpc-status: "), ("0n", late), ("1n", late), ("00000000H", late),
          ("999999999999999999999H", malformed), ("-1S", malformed), ("H", malformed),
        ] {
          // What is refused by its head alone gets none of the message: curl 7.88 forgets the answer when
          // the stream is reset behind it.
          let body = wanted == malformed ? [] : ["--data-binary", "@\(request)"]
          let answer = run(
            "/usr/bin/curl",
            [
              "-s", "-m", "5", "-D", "-", "--http2-prior-knowledge", "-X", "POST", "-H",
              "content-type: application/grpc", "-H", "te: trailers", "-H",
              "grpc-timeout: \(timeout)", "-o", "/dev/null",
              "http://127.0.0.1:\(port)/etcdserverpb.KV/Range",
            ] + body
          ).output
          // The attack arrived: a call was made, and ended as it should.
          #expect(answer.contains(wanted), "\(timeout) at \(port): \(answer)")
        }
      }
    }
    try victims.check()
  }

  /// S3: requests without pause, of which no answer is read, on every kind of port.
  @Test func aConnectionThatNeverReadsTakesNoMemory() throws {
    let metricsPorts = freePorts(3)
    let victims = try Victims(
      each: { ["--listen-metrics-urls", "http://127.0.0.1:\(metricsPorts[$0])"] })
    let request = Array("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n".utf8)
    let block = Array(repeating: request, count: 500).flatMap { $0 }
    for (member, metricsPort) in zip(victims.cluster.members, metricsPorts) {
      for port in [member.clientPort, member.peerPort, metricsPort] {
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
      try await filler.fill(keys: 20_000)
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
    try victims.check(memoryMax: 128 << 20)
    for member in victims.cluster.members {
      #expect(
        member.longestTurn(loop: "etcd-peer") < 0.5, "peers waited for a client's read")
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
      try await client.fill(keys: 20_000, lease: 7)
      let question = API.LeaseTimeToLiveRequest(id: 7, keys: true).encoded()
      try await withThrowingTaskGroup { group in
        for number in 0..<50 {
          let other = try await GRPCClient.attack(ports[number % 3], loop)
          group.addTask {
            let answer = try await other.unary(
              API.LeaseService.leaseTimeToLive.path, question, timeout: .seconds(60))
            other.abort()
            return try API.LeaseTimeToLiveResponse.decode(answer.message).keys
          }
        }
        for try await keys in group {
          #expect(keys.count == 20_000 && Set(keys).count == 20_000)
        }
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
    for member in victims.cluster.members {
      #expect(member.longestTurn(loop: "etcd-peer") < 0.5, "peers waited for a lease's keys")
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
      try await client.fill(keys: 20_000)
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

  /// S10: a thousand short connections that ask for the page of metrics, two hundred at a time.
  @Test func scrapesByTheHundredHoldNobodyUp() throws {
    let victims = try Victims()
    let member = victims.cluster.members[0]
    var answered = 0
    var rounds: [[String: Double]] = []
    for _ in 0..<5 {
      var longest: [String: Double] = [:]
      let attackers = try (0..<200).map { _ in try Attacker(port: member.clientPort) }
      for attacker in attackers {
        attacker.send("GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
      }
      for attacker in attackers {
        let page = attacker.receiveAll()
        if page.hasPrefix("HTTP/1.1 200"), page.contains("\netcd_server_is_leader ") {
          answered += 1
        }
        // A page says the longest turns since the page before it: all of them together leave none out.
        for (loop, seconds) in Member.longestTurns(page) {
          longest[loop] = max(longest[loop] ?? 0, seconds)
        }
      }
      rounds.append(longest)
    }
    #expect(answered == 1000)
    print("longest turns: \(rounds)")
    // A busy machine makes turns longer, but not those of every round.
    #expect(rounds.compactMap { $0["etcd-peer"] }.min() ?? 99 < 0.3)
    let ofClients = rounds.compactMap { round in
      round.filter { $0.key.hasPrefix("etcd-client") }.values.max()
    }
    #expect(ofClients.min() ?? 99 < 0.3)
    try victims.check(memoryMax: 64 << 20)
  }

  /// S14: more clients than a member has descriptors leave enough of them to peers, files and a restart.
  @Test(.enabled(if: Binaries.ctl35 != nil))
  func clientsLeaveDescriptorsToPeersAndFiles() async throws {
    let victims = try Victims(descriptors: 400)
    let cluster = victims.cluster
    let flooded = cluster.members[0]
    let pid = flooded.pid
    // Those that the member does not take wait in the kernel.
    var attackers = try (0..<600).map { _ in try Attacker(port: flooded.clientPort) }
    let line = "clients have as many connections as they may; further ones wait"
    try eventually("the line about the limit") { flooded.log.contains(line) }
    let open = try FileManager.default.contentsOfDirectory(atPath: "/proc/\(pid)/fd").count
    #expect(open > 250 && open < 400, "\(open) descriptors")
    // Peers connect anew, and the flooded member is needed for a quorum.
    #expect(cluster.ctl(["put", "before", "v"], at: cluster.members[1]).status == 0)
    cluster.members[2].stop()
    cluster.members[1].stop()
    cluster.members[2].start()
    try cluster.members[2].waitHealthy()
    #expect(cluster.ctl(["put", "after", "v"], at: cluster.members[2]).status == 0)
    // Files: the copy of a defragmentation, asked for by the peer port.
    let peerPort = flooded.peerPort
    try await withLoop { loop in
      let client = try await GRPCClient.attack(peerPort, loop)
      _ = try await client.unary(
        API.MaintenanceService.defragment.path, Bytes(), timeout: .seconds(20))
      let answer = try await client.unary(
        API.KVService.range.path, API.RangeRequest(key: "after").encoded(), timeout: .seconds(20))
      #expect(try API.RangeResponse.decode(answer.message).count == 1)
      client.abort()
    }
    // Whoever waited is served once there is room.
    attackers.removeFirst(400)
    try flooded.waitHealthy()
    attackers.removeAll()
    #expect(flooded.isRunning && flooded.pid == pid)
    #expect(!flooded.log.contains("too many open files"))
    cluster.members[1].start()
    try cluster.members[1].waitHealthy()
  }

  /// S12, S13: what is under way counts for the quota, and the way out of a full one works at once.
  @Test func theQuotaBoundsTheFile() async throws {
    let quota = 16 << 20
    let victims = try Victims(members: 1, extra: ["--quota-backend-bytes", "\(quota)"])
    let member = victims.cluster.members[0]
    let port = member.clientPort
    try await withLoop { loop in
      let client = try await GRPCClient.attack(port, loop)
      let refused = await putsRefusedForRoom(80, by: [client])
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
}
