import Bytes
import EtcdAPI
import EtcdClient
import EventLoops

/// A registry of the v3 discovery protocol: keys of any etcd, below `/_etcd/registry/TOKEN`.
///
/// - Source: etcd 3.6 `api/v3discovery/discovery.go`.
package final class V3Registry: Registry {
  package let name: String
  package let badEntry = DiscoveryFailure.other("discovery: invalid peer URL")
  private let client: EtcdClient
  private let directory: String
  /// Members that came in the same revision as one that was told of.
  private var waiting: [RegistryEntry] = []

  /// - Throws: what is wrong with the configuration.
  package init(_ configuration: EtcdClientConfiguration, token: String) throws(DiscoveryFailure) {
    name = configuration.endpoints.joined(separator: ",")
    directory = RegistryToken.root + token
    do throws(EtcdClientError) { client = try EtcdClient(configuration) } catch {
      throw .other(error.description)
    }
  }

  deinit { client.close() }

  private var sizeKey: String { directory + "/_config/size" }
  private var members: String { directory + "/members/" }

  package func roll() throws(RegistryProblem) -> Roll {
    let size = try wait(sizeKey) { [client, sizeKey] () async throws(EtcdClientError) in
      try await client.kv.get(.key(Bytes(sizeKey)))
    }
    guard let value = size.kvs.first?.value else { throw .final(.sizeNotFound) }
    let found = try wait(members) { [client, members] () async throws(EtcdClientError) in
      try await client.kv.get(.prefix(Bytes(members)))
    }
    return Roll(
      size: value.string, entries: found.kvs.compactMap(entry),
      index: UInt64(clamping: found.header?.revision ?? 0))
  }

  /// Overwrites what this member had entered before: a start that failed behind it is tried again.
  package func enter(_ id: String, _ value: String) throws(RegistryProblem) {
    let key = members + id
    _ = try wait(key) { [client] () async throws(EtcdClientError) in
      try await client.kv.put(Bytes(key), Bytes(value))
    }
  }

  package func next(
    after index: UInt64
  ) throws(RegistryProblem) -> (entry: RegistryEntry?, index: UInt64) {
    if !waiting.isEmpty { return (waiting.removeFirst(), index) }
    let start = Int64(clamping: index &+ 1)
    let update = try wait(members) { [client, members] () async throws(EtcdClientError) in
      let watch = client.watch(
        .prefix(Bytes(members)), WatchOptions(startRevision: start, deletes: false))
      let walk = watch.makeAsyncIterator()
      var update = try await walk.next()
      while let given = update, given.events.isEmpty { update = try await walk.next() }
      return update
    }
    let events = update?.events ?? []
    waiting = events.compactMap { $0.kv.flatMap(entry) }
    let last = events.compactMap { $0.kv?.modRevision }.max() ?? 0
    let reached = max(index, UInt64(clamping: last))
    return (waiting.isEmpty ? nil : waiting.removeFirst(), reached)
  }

  private func entry(_ row: Mvccpb.KeyValue) -> RegistryEntry? {
    let (key, value) = (row.key.string, row.value.string)
    guard key.hasPrefix(members), value.contains("=") else { return nil }
    return RegistryEntry(
      id: String(key.dropFirst(members.count)), value: value,
      index: UInt64(clamping: row.createRevision))
  }

  /// Runs a call and waits for it.
  private func wait<R: Sendable>(
    _ key: String, _ body: @escaping @Sendable () async throws(EtcdClientError) -> R
  ) throws(RegistryProblem) -> R {
    do throws(EtcdClientError) {
      return try Parcel<Result<R, EtcdClientError>>.waiting(for: body).get()
    } catch {
      throw .away(path: key, error: error.description, detail: error.description)
    }
  }
}
