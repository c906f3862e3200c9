import Bytes
import EtcdAPI
import EtcdClient
import EventLoops
import JSON
import Synchronization

/// The proxies that are registered in a cluster, as the last news of it have them.
///
/// - Source: etcd `client/v3/naming/endpoints`, for keys and values; `grpcproxy/cluster.go`.
final class ProxyMembers: Sendable {
  /// A proxy as its value in the cluster has it.
  struct Entry: Equatable, Sendable {
    let address: String
    /// The host that it runs on.
    let name: String
  }

  private let entries = Mutex<[Bytes: Entry]>([:])

  /// What of a value counts; `nil` for one that is none of a proxy.
  static func entry(_ value: Bytes) -> Entry? {
    guard let object = try? JSONValue.parse(value).object, let address = object["Addr"]?.string
    else { return nil }
    guard let text = object["Metadata"]?.string, let inner = try? JSONValue.parse(Bytes(text))
    else { return Entry(address: address, name: "") }
    return Entry(address: address, name: inner.object?["name"]?.string ?? "")
  }

  /// The value that registers a proxy.
  static func value(_ entry: Entry) -> Bytes {
    let inner = JSONValue.object(JSONObject([.init("name", .string(entry.name))]))
    let outer = JSONObject([
      .init("Op", .number("0")), .init("Addr", .string(entry.address)),
      .init("Metadata", .string(inner.encoded(escapeHTML: true).string)),
    ])
    return JSONValue.object(outer).encoded(escapeHTML: true)
  }

  /// What is there now, instead of what was known.
  func replace(_ pairs: [Mvccpb.KeyValue]) {
    let found = pairs.compactMap { pair in Self.entry(pair.value).map { (pair.key, $0) } }
    entries.withLock { $0 = Dictionary(found, uniquingKeysWith: { $1 }) }
  }

  func take(_ events: [Mvccpb.Event]) {
    entries.withLock { entries in
      for event in events {
        guard let pair = event.kv else { continue }
        entries[pair.key] = event.type == .put ? Self.entry(pair.value) : nil
      }
    }
  }

  /// In the order of their keys.
  var list: [Etcdserverpb.Member] {
    entries.withLock { entries in
      entries.sorted { $0.key < $1.key }.map {
        Etcdserverpb.Member(name: $0.value.name, clientURLs: [$0.value.address])
      }
    }
  }
}
