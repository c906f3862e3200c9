import EventLoops
import Foundation
import TestSupport
import Testing

/// Clusters of both kinds with the v2 API in use: keys, lifetimes, users, restarts, and snapshots for members that come
/// late. At the end every member has the same store, in memory and in its snapshots.
@Suite(.serialized) @MainActor struct V2MixedClusterTests {
  nonisolated static let ratios =
    Ratios.all
    ? [[false, true, true], [true, false, false], [true, true, false, false, true]]
    : [[false, true, true]]

  /// Entries that a leader keeps for those who are behind. Go's 3.4 has no flag for it.
  private static let kept = (ours: 20, go: 5_000)

  private static func cluster(_ ours: [Bool]) throws -> Cluster {
    let official = try #require(Binaries.go34)
    return Cluster(
      ours.map { $0 ? Binaries.ours : official },
      extra: ["--enable-v2", "--snapshot-count", "50"],
      oursOnly: ["--experimental-snapshot-catchup-entries", "\(kept.ours)"])
  }

  /// Writes by chance, by every member in turn. All come to the same index behind each.
  private static func write(
    _ count: Int, _ sides: [V2Side], _ generator: inout V2RequestGenerator
  ) async throws {
    for number in 0..<count {
      var request = generator.next()
      if request.method == "GET" { request.method = "PUT" }
      let answer = await sides[number % sides.count].ask(request)
      #expect(100..<500 ~= answer.status, "\(request): \(answer)")
      try await v2Until("all have the same index behind \(request): \(answer)") {
        var indexes: Set<String> = []
        for side in sides { indexes.insert(await side.ask(V2Request()).index) }
        return indexes.count == 1
      }
    }
  }

  /// As many writes as it takes to put a member behind what the leader keeps.
  private static func writeMany(_ count: Int, _ sides: [V2Side]) async {
    await withTaskGroup(of: Void.self) { group in
      for writer in 0..<40 {
        group.addTask {
          for number in 0..<(count / 40) {
            _ = await sides[writer % sides.count].ask(
              "PUT", "/v2/keys/many/\(writer)?value=\(number)")
          }
        }
      }
    }
  }

  /// All have the same store: what is found, what is remembered, and the index.
  private static func expectEqual(_ sides: [V2Side]) async throws {
    let mark = await sides[0].ask("PUT", "/v2/keys/mark?value=\(UInt64.random(in: 0 ... .max))")
    #expect(mark.status < 300, "\(mark)")
    var found: [[V2Answer]] = []
    for side in sides {
      try await v2Until("\(side.member.name) has come as far") {
        await side.ask(V2Request()).index == mark.index
      }
      var answers: [V2Answer] = []
      for target in ["/?recursive=true", "/_h?recursive=true", "/a/_s?recursive=true"] {
        answers.append(await side.ask("GET", "/v2/keys" + target))
      }
      for back in stride(from: 0, to: 900, by: 30) {
        let index = max(10, Int(mark.index)! - back)
        let wait = side.wait(
          V2Request(target: "/v2/keys/?wait=true&recursive=true&waitIndex=\(index)"))
        try await v2Until("event \(index) is told") { wait.isOver }
        answers.append(try #require(wait.answer))
      }
      found.append(answers)
    }
    for (side, answers) in zip(sides, found) {
      for (answer, expected) in zip(answers, found[0]) {
        #expect(
          answer == expected, "\(side.member.name): \(difference(answer.body, expected.body))")
      }
    }
  }

  /// The documents of the newest snapshots, once all hold the last write, are the same bytes but for what each counted
  /// itself: reads, and what was left of lifetimes when it applied them.
  private static func expectEqualSnapshots(_ sides: [V2Side], _ cluster: Cluster) async throws {
    let text = "the last write \(UInt64.random(in: 0 ... .max))"
    _ = await sides[0].ask("PUT", "/v2/keys/mark", "value=\(text)")
    var documents: [String] = []
    try await v2Until("all have a snapshot with the last write", seconds: 40) {
      for number in 0..<60 { _ = cluster.ctl(["put", "k\(number % 5)", "v"]) }
      documents = sides.map { document($0.member) }
      return documents.allSatisfy { $0.contains(text) }
    }
    for (side, document) in zip(sides, documents) {
      #expect(
        document == documents[0], "\(side.member.name): \(difference(document, documents[0]))")
    }
  }

  /// Where two texts part.
  private static func difference(_ text: String, _ other: String) -> String {
    let (a, b) = (Array(text.utf8), Array(other.utf8))
    let place = zip(a, b).enumerated().first { $1.0 != $1.1 }?.offset ?? min(a.count, b.count)
    return [a, b].map {
      String(decoding: $0.dropFirst(max(0, place - 120)).prefix(240), as: UTF8.self)
    }.joined(separator: "\n- but -\n")
  }

  private static func document(_ member: Member) -> String {
    let folder = member.directory + "/member/snap"
    let files = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
    guard let newest = files.filter({ $0.hasSuffix(".snap") }).max(),
      let data = FileManager.default.contents(atPath: folder + "/" + newest),
      let start = data.range(of: Data("{\"Root\"".utf8)),
      let end = data.range(of: Data("\"CurrentVersion\":2}".utf8), options: .backwards)
    else { return "" }
    return String(decoding: data[start.lowerBound..<end.upperBound], as: UTF8.self)
      .replacing(#/,"ttl":-?\d+/#, with: "").replacing(#/"Stats":\{[^}]*\}/#, with: "")
  }

  @Test(
    .enabled(if: Binaries.go34 != nil && Binaries.ctl35 != nil),
    arguments: ratios)
  func everyMemberHasTheSameStore(ours: [Bool]) async throws {
    let cluster = try Self.cluster(ours)
    try cluster.start()
    let loop = EventLoop(name: "v2-mixed")
    loop.start()
    defer { loop.stop() }
    let sides = cluster.members.map { V2Side($0, loop) }
    var generator = V2RequestGenerator(random: .printed("v2 mixed"))
    // Go keeps bytes that are no UTF-8 until it writes a snapshot; ours are U+FFFD from the start.
    generator.keys.removeAll { $0.contains("%ff") }
    for leads in [true, false] {
      let leader = try #require(ours.firstIndex(of: leads))
      try cluster.lead(cluster.members[leader])
      try await Self.write(120, sides, &generator)
      for (number, side) in sides.enumerated() {
        for ttl in [1, 100_000] {
          _ = await side.ask("PUT", "/v2/keys/ttl/\(leads)-\(number)-\(ttl)?ttl=\(ttl)&value=x")
        }
      }
      try await v2Until("short lives end") {
        !(await sides[leader].ask("GET", "/v2/keys/ttl?recursive=true")).body.contains("-1\"")
      }
      try await Self.expectEqual(sides)
      // One of the other kind comes back to a log that begins behind what it has.
      let late = try #require(ours.firstIndex(of: !leads))
      cluster.members[late].stop()
      let rest = sides.indices.filter { $0 != late }.map { sides[$0] }
      await Self.writeMany((leads ? Self.kept.ours : Self.kept.go) + 400, rest)
      let told = cluster.members[late].log.count
      cluster.members[late].start()
      try cluster.members[late].waitHealthy()
      try await Self.expectEqual(sides)
      let log = cluster.members[late].log.dropFirst(told)
      #expect(log.contains("snapshot") && log.contains("from"), "no snapshot came: \(log)")
      try await checkUsers(sides, isFirst: leads)
    }
    // The hard way, all of them.
    for member in cluster.members {
      member.kill()
      member.start()
    }
    for member in cluster.members { try member.waitHealthy() }
    try await Self.expectEqual(sides)
    try await Self.expectEqualSnapshots(sides, cluster)
  }

  /// Users that one member made are asked for by all, and are not any more.
  private func checkUsers(_ sides: [V2Side], isFirst: Bool) async throws {
    func change(_ method: String, _ path: String, _ body: String, on side: V2Side) async {
      let answer = await side.ask(
        V2Request(
          method: method, target: "/v2/auth/" + path, form: body, type: "application/json",
          user: "root:pw"))
      #expect(answer.status == 200 || answer.status == 201, "\(path): \(answer)")
    }
    if isFirst {
      await change("PUT", "users/root", #"{"user":"root","password":"pw"}"#, on: sides[0])
    }
    await change("PUT", "enable", "", on: sides[1])
    await change(
      "PUT", "roles/guest", #"{"role":"guest","revoke":{"kv":{"write":["/*"]}}}"#, on: sides[2])
    for side in sides {
      try await v2Until("\(side.member.name) checks users") {
        await side.ask("PUT", "/v2/keys/a?value=1").status == 401
      }
      let named = await side.ask(
        V2Request(method: "PUT", target: "/v2/keys/user?value=1", user: "root:pw"))
      #expect(named.status < 300, "\(named)")
    }
    await change(
      "PUT", "roles/guest", #"{"role":"guest","grant":{"kv":{"write":["/*"]}}}"#, on: sides[0])
    await change("DELETE", "enable", "", on: sides[1])
  }
}
