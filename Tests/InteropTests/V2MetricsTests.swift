import Foundation
import TestSupport
import Testing

/// What is counted of the v2 store is what Go counts.
@Suite(.serialized) struct V2MetricsTests {
  private func counts(_ side: V2Side) throws -> [String: Double] {
    let page = MetricsTests.Page(try #require(httpGet("\(side.member.endpoint)/metrics")))
    return page.values.filter { $0.key.hasPrefix("etcd_debugging_store_") }
  }

  @Test(.enabled(if: Binaries.go34 != nil)) @MainActor func countsAreGos() async throws {
    try await withV2Servers(Binaries.go34) { go, ours in
      var generator = V2RequestGenerator(random: .printed("v2 metrics"))
      generator.index = try await go.index()
      let requests = (0..<400).map { _ in generator.next() }
      let waits = [
        "/a?wait=true", "/?wait=true&recursive=true&waitIndex=2", "/n?wait=true&waitIndex=x",
      ]
      var changes: [[String: Double]] = []
      for side in [go, ours] {
        let before = try counts(side)
        for request in requests { _ = await side.ask(request) }
        _ = await side.ask("PUT", "/v2/keys/short?ttl=1")
        try await v2Until("it ends") { await side.ask("GET", "/v2/keys/short").status == 404 }
        let waiting = waits.map { side.wait(V2Request(target: "/v2/keys" + $0)) }
        try await v2Until("all are answered") { waiting.allSatisfy(\.hasHead) }
        let after = try counts(side)
        changes.append(after.reduce(into: [:]) { $0[$1.key] = $1.value - (before[$1.key] ?? 0) })
        for wait in waiting { wait.cancel() }
        try await v2Until("nobody watches") {
          (try? counts(side)["etcd_debugging_store_watchers"]) == 0
        }
      }
      let expires = "etcd_debugging_store_expires_total"
      #expect(
        changes[1][expires] == 1
          && (changes[1]["etcd_debugging_store_watch_requests_total"] ?? 0) >= 2)
      for (name, count) in changes[0] {
        // Go reads the store to see whether users are checked, for every request, and we asked for the end of a key.
        if name.contains("reads_total{action=\"get\"}") {
          #expect(changes[1][name] ?? 0 > 20 && changes[1][name] ?? 0 < count, "\(name)")
        } else {
          #expect(changes[1][name] == count, "\(name)")
        }
      }
    }
  }
}
