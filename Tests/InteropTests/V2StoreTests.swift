import Bytes
import EtcdAPI
import Foundation
import TestSupport
import Testing
import V2Store

/// The v2 store beside Go etcd's, and users' v2 keys on their way through our member.
@Suite(.serialized) struct V2StoreTests {
  /// A member that serves the v2 API, or one that shares its directory.
  private func member(
    _ binary: String, _ scratch: Scratch, _ ports: [Int], extra: [String]
  ) -> Member {
    Member(
      name: "m1", binary: binary, directory: scratch.path + "/m1", clientPort: ports[0],
      peerPort: ports[1], cluster: "m1=http://127.0.0.1:\(ports[1])",
      extra: ["--snapshot-count", "10"] + extra)
  }

  /// Answers to many requests over one connection: status, X-Etcd-Index and body.
  private func ask(_ member: Member, _ requests: [[String]]) -> [String] {
    let path = member.directory + ".curl"
    let lines = requests.map { words in
      let settings = words.dropFirst(2).map { "data-urlencode = \"\($0)\"" }
      return
        ([
          "url = \"\(member.endpoint)/v2/keys\(words[1])\"", "request = \(words[0])", "silent",
          "get",
        ].prefix(words[0] == "PUT" || words[0] == "POST" ? 3 : 4) + settings)
        .joined(separator: "\n")
    }
    try! lines.joined(separator: "\nnext\n").write(
      toFile: path, atomically: false, encoding: .utf8)
    let done = run("/usr/bin/curl", ["-L", "-K", path])
    #expect(done.status == 0, "\(done.error)")
    return done.output.split(separator: "\n").map(String.init)
  }

  /// What is told of every index of users' keys, the first ones being those of members.
  private func history(_ member: Member, _ last: Int) -> [String] {
    ask(
      member,
      (4...last).map { ["GET", "/", "recursive=true", "wait=true", "waitIndex=\($0)"] }
    ).map { $0.replacing(#/"ttl":-?\d+,/#, with: "") }
  }

  @Test(
    .enabled(if: Binaries.go34 != nil && Binaries.ctl35 != nil && Binaries.go35 != nil),
    arguments: ["3.4", "3.5"])
  func userKeysSurviveOurMember(version: String) throws {
    let official = try #require(version == "3.4" ? Binaries.go34 : Binaries.go35)
    let newest = try #require(Binaries.go35)
    let ctl = try #require(Binaries.ctl35)
    let scratch = Scratch()
    let ports = freePorts(2)
    let first = member(official, scratch, ports, extra: ["--enable-v2=true"])
    first.start()
    try first.waitHealthy()
    var requests: [[String]] = []
    for n in 0..<25 { requests.append(["PUT", "/dir\(n % 4)/key\(n)", "value=value \(n)"]) }
    requests += [
      ["PUT", "/empty", "dir=true"], ["POST", "/queue", "value=job"],
      ["PUT", "/long", "value=lives", "ttl=100000"], ["PUT", "/short", "value=dies", "ttl=1"],
      ["PUT", "/dir0/key0", "value=swapped", "prevValue=value 0"],
      ["PUT", "/dir0/key4", "value=refused", "prevValue=other"],
      ["DELETE", "/dir1/key1"], ["DELETE", "/dir2", "recursive=true"],
      ["PUT", "/\u{e9}<&>", "value=\u{4f60}\u{597d} <&>"], ["PUT", "/_hidden/k", "value=v"],
    ]
    #expect(ask(first, requests).count == requests.count)
    func state(_ member: Member) -> [String] {
      ask(
        member,
        [["GET", "/", "recursive=true", "sorted=true"], ["GET", "/_hidden", "recursive=true"]]
      )
      // The rest of a lifetime counts down.
      .map { $0.replacing(#/"ttl":\d+,/#, with: "") }
    }
    let deadline = Date().addingTimeInterval(20)
    while state(first)[0].contains("dies"), Date() < deadline { usleep(50_000) }
    let mark = ask(first, [["PUT", "/mark", "value=1"]])
    let before = state(first)
    let last = try #require(mark[0].firstMatch(of: #/"modifiedIndex":(\d+)/#).flatMap { Int($0.1) })
    let told = history(first, last)
    #expect(told.count == last - 3 && told.contains { $0.contains("expire") })
    #expect(before[0].contains("swapped") && !before[0].contains("dies"))
    // This one ends while our member leads; what happened to it is still told of.
    let late = #""Path":"/1/late""#
    #expect(ask(first, [["PUT", "/late", "value=ends with us", "ttl=5"]]).count == 1)
    first.stop()

    let ours = member(Binaries.ours, scratch, ports, extra: [])
    for round in 0..<2 {
      // Who does not serve the keys keeps them, too.
      ours.start(extra: round == 0 ? [] : ["--enable-v2"])
      try ours.waitHealthy()
      for n in 0..<30 {
        let done = run(ctl, ["--endpoints", ours.endpoint, "put", "k\(n)", "v\(round)"])
        #expect(done.status == 0, "\(done)")
      }
      let written = Date().addingTimeInterval(20)
      while Date() < written,
        ours.log.components(separatedBy: "saved snapshot").count < 2 * round + 2
      { usleep(50_000) }
      #expect(ours.log.contains("saved snapshot"), "no snapshot of ours to go on from")
      if round == 1 { #expect(history(ours, last) == told) }
      while round == 1, Date() < written, Self.newestSnapshot(ours).contains(late) {
        _ = run(ctl, ["--endpoints", ours.endpoint, "put", "more", "v"])
        usleep(50_000)
      }
      // The hard way first: what the snapshot lacks comes from the log.
      if round == 0 { ours.kill() } else { ours.stop() }
    }

    let snapshot = Self.newestSnapshot(ours)
    #expect(snapshot.contains("swapped") && !snapshot.contains(late))
    #expect(ours.log.contains("detected custom v2store content."))
    // A later stage of the deprecation does not start with them, and changes nothing.
    for stage in ["write-only", "write-only-drop-data", "gone"] {
      let refused = run(
        Binaries.ours, ours.arguments + ["--v2-deprecation", stage], timeout: 20)
      #expect(refused.status == 1)
      #expect(
        refused.error.contains(
          "detected disallowed custom content in v2store for stage --v2-deprecation=\(stage)"))
    }
    let back = member(newest, scratch, ports, extra: ["--enable-v2"])
    back.start()
    try back.waitHealthy()
    let after = state(back)
    #expect(after == before)
    // The index goes on where it was, and what happened before is told to those who come late.
    #expect(history(back, last) == told)
    let next = ask(back, [["PUT", "/dir0/key0", "value=new", "prevValue=swapped"]])
    #expect(next.first?.contains("compareAndSwap") == true, "\(next)")
    #expect(hashKV(back).isEmpty == false)
    back.stop()
  }

  /// Members of both kinds count the same, whoever leads: a key has one index everywhere.
  @Test(.enabled(if: Binaries.go35 != nil && Binaries.ctl35 != nil))
  func mixedMembersAgreeOnTheIndex() throws {
    let go = try #require(Binaries.go35)
    let ctl = try #require(Binaries.ctl35)
    let scratch = Scratch()
    let ports = freePorts(6)
    let cluster = (0..<3).map { "m\($0 + 1)=http://127.0.0.1:\(ports[$0 * 2 + 1])" }
    let members = (0..<3).map { n in
      Member(
        name: "m\(n + 1)", binary: n == 0 ? go : Binaries.ours,
        directory: scratch.path + "/m\(n + 1)", clientPort: ports[n * 2],
        peerPort: ports[n * 2 + 1], cluster: cluster.joined(separator: ","),
        extra: ["--snapshot-count", "10"] + (n == 0 ? ["--enable-v2"] : []))
    }
    for member in members { member.start() }
    for member in members { try member.waitHealthy() }
    var requests = (0..<12).map { ["PUT", "/k\($0)", "value=v\($0)"] }
    requests += [["DELETE", "/k3"], ["PUT", "/last", "value=the last write"]]
    #expect(ask(members[0], requests).count == requests.count)
    let deadline = Date().addingTimeInterval(20)
    var snapshots: [String] = []
    repeat {
      let put = run(ctl, ["--endpoints", members[1].endpoint, "put", "k", "v"])
      #expect(put.status == 0, "\(put)")
      snapshots = members.map(Self.newestSnapshot)
    } while Date() < deadline && !snapshots.allSatisfy { $0.contains("the last write") }
    // From the users' keys on, the documents are equal but for what each counted and remembers.
    func facts(_ text: String) -> String {
      let index = text.firstMatch(of: #/"CurrentIndex":\d+/#).map { String($0.0) } ?? "none"
      let keys = text.matches(of: #/"Path":"\/[01][^"]*","CreatedIndex":\d+,"ModifiedIndex":\d+/#)
      return ([index] + keys.map { String($0.0) }.sorted()).joined(separator: "\n")
    }
    #expect(facts(snapshots[0]).contains("/1/last"))
    #expect(facts(snapshots[1]) == facts(snapshots[0]))
    #expect(facts(snapshots[2]) == facts(snapshots[0]))
  }

  /// The text inside the newest snapshot file of a member.
  private static func newestSnapshot(_ member: Member) -> String {
    let folder = member.directory + "/member/snap"
    let files = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
    guard let newest = files.filter({ $0.hasSuffix(".snap") }).max() else { return "" }
    let data = FileManager.default.contents(atPath: folder + "/" + newest) ?? Data()
    return String(decoding: data, as: UTF8.self)
  }

  /// Random operations give the same events and refusals here and in Go etcd.
  @Test(.enabled(if: Binaries.go35 != nil)) func operationsAreGos() throws {
    let official = try #require(Binaries.go35)
    let seed = UInt64.random(in: 0..<1_000_000)
    print("seed \(seed)")
    var random = SeededGenerator(state: seed)
    let scratch = Scratch()
    let go = member(official, scratch, freePorts(2), extra: ["--enable-v2"])
    go.start()
    try go.waitHealthy()
    let start = ask(go, [["PUT", "/start", "value=0"]])
    let index = Int(start[0].firstMatch(of: #/"modifiedIndex":(\d+)/#)!.1)!
    var store = try V2Store(document: Bytes("{\"CurrentIndex\":\(index - 1)}"))
    _ = try store.set("/1/start", value: "0")
    let operations = (0..<600).map { _ in Operation(&random, around: index) }
    let answers = ask(go, operations.map(\.words))
    #expect(answers.count == operations.count)
    for (operation, answer) in zip(operations, answers) {
      let own = operation.answer(&store)
      #expect(own == answer, "seed \(seed): \(operation.words)")
      if own != answer { break }
    }
    go.stop()
  }
}

/// One request of the v2 API, for a shell and for the store.
private struct Operation {
  let words: [String]
  let request: Etcdserverpb.Request

  init(_ random: inout SeededGenerator, around index: Int) {
    let names = ["a", "b", "c", "_h"]
    let path = (0..<Int.random(in: 1...3, using: &random)).map { _ in
      "/" + names.randomElement(using: &random)!
    }.joined()
    var request = Etcdserverpb.Request(path: "/1" + path)
    var words: [String] = []
    func value() -> String { ["", "x", "y", "z"].randomElement(using: &random)! }
    switch Int.random(in: 0..<10, using: &random) {
    case 0:
      request.method = "POST"
      request.val = value()
      words = ["value=" + request.val]
    case 1...5:
      request.method = "PUT"
      request.dir = Int.random(in: 0..<4, using: &random) == 0
      if request.dir { words.append("dir=true") } else { request.val = value() }
      words.append("value=" + request.val)
      if Bool.random(using: &random) {
        request.prevExist = Bool.random(using: &random)
        words.append("prevExist=\(request.prevExist!)")
      }
      Self.compare(&request, &words, &random, index)
    case 6...7:
      request.method = "DELETE"
      request.dir = Bool.random(using: &random)
      request.recursive = Bool.random(using: &random)
      words = ["dir=\(request.dir)", "recursive=\(request.recursive)"]
      Self.compare(&request, &words, &random, index)
    default:
      request.method = "QGET"
      request.recursive = Bool.random(using: &random)
      words = ["quorum=true", "sorted=true", "recursive=\(request.recursive)"]
    }
    self.request = request
    self.words = [request.method == "QGET" ? "GET" : request.method, path] + words
  }

  private static func compare(
    _ request: inout Etcdserverpb.Request, _ words: inout [String],
    _ random: inout SeededGenerator, _ index: Int
  ) {
    if Int.random(in: 0..<4, using: &random) == 0 {
      request.prevValue = ["x", "y"].randomElement(using: &random)!
      words.append("prevValue=" + request.prevValue)
    }
    if Int.random(in: 0..<6, using: &random) == 0 {
      request.prevIndex = UInt64(index + Int.random(in: 1..<60, using: &random))
      words.append("prevIndex=\(request.prevIndex)")
    }
  }

  /// What the v2 API would write.
  func answer(_ store: inout V2Store) -> String {
    do throws(V2Error) {
      let event = try store.apply(request)[0]
      var text = "{\"action\":\"\(event.action.rawValue)\",\"node\":\(Self.json(event.node))"
      if let previous = event.previous { text += ",\"prevNode\":\(Self.json(previous))" }
      return text + "}"
    } catch {
      // A directory that is updated without a value: no refusal of the store's, but a failure.
      if error.code == .notFile, error.cause.isEmpty {
        return "{\"errorCode\":300,\"message\":\"Raft Internal Error\","
          + "\"cause\":\"nodePath \(request.path) : \(error)\",\"index\":0}"
      }
      let cause = error.cause.replacing(#/^\/1(?=\/)/#, with: "").replacing("\"", with: "\\\"")
      return "{\"errorCode\":\(error.code.rawValue),\"message\":\"\(error.message)\","
        + "\"cause\":\"\(cause)\",\"index\":\(error.index)}"
    }
  }

  private static func json(_ entry: V2Entry) -> String {
    var parts: [String] = []
    let key = entry.key.dropFirst(2)
    if !key.isEmpty { parts.append("\"key\":\"\(key)\"") }
    if let value = entry.value { parts.append("\"value\":\"\(value)\"") }
    if entry.isDirectory { parts.append("\"dir\":true") }
    if let nodes = entry.nodes, !nodes.isEmpty {
      parts.append("\"nodes\":[\(nodes.map(json).joined(separator: ","))]")
    }
    if entry.modifiedIndex > 0 { parts.append("\"modifiedIndex\":\(entry.modifiedIndex)") }
    if entry.createdIndex > 0 { parts.append("\"createdIndex\":\(entry.createdIndex)") }
    return "{\(parts.joined(separator: ","))}"
  }
}
