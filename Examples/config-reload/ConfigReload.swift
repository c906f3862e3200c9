import EtcdClient
import Foundation

/// Keeps a configuration that lives in etcd: reads what is below a prefix, then follows every change.
///
///     config-reload http://127.0.0.1:2379 config/
@main struct ConfigReload {
  static func main() async throws {
    let words = CommandLine.arguments
    guard words.count == 3 else { fatalError("config-reload ENDPOINT PREFIX") }
    let client = try EtcdClient(endpoints: [words[1]])
    // The program sees its own keys alone, without the prefix.
    let space = client.namespace(Bytes(words[2]))
    while true {
      do throws(EtcdClientError) {
        try await follow(space)
      } catch {
        // What changed meanwhile was forgotten: read everything anew. Anything else is the end.
        guard case .compacted = error else { throw error }
      }
    }
  }

  static func follow(_ client: EtcdClient) async throws(EtcdClientError) {
    var settings: [String: String] = [:]
    var revision: Int64 = 0
    for try await page in client.kv.pages(.all) {
      for pair in page.kvs { settings[pair.key.string] = pair.value.string }
      // All pages are of the state that the first one was read in.
      if revision == 0 { revision = page.header?.revision ?? 0 }
    }
    show(settings)
    for try await update in client.watch(.all, .init(startRevision: revision + 1)) {
      // An update has whole revisions: a transaction is never seen by halves.
      for event in update.events {
        guard let pair = event.kv else { continue }
        settings[pair.key.string] = event.type == .delete ? nil : pair.value.string
      }
      show(settings)
    }
  }

  static func show(_ settings: [String: String]) {
    let lines = settings.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
    say("configuration: \(lines.joined(separator: " "))")
  }
}

/// Prints a line at once, also into a pipe.
func say(_ line: String) {
  print(line)
  fflush(nil)
}
