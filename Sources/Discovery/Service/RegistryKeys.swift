import Bytes
import EtcdAPI
import EtcdClient
import V2Store

/// Tokens and their members as v3 keys of an etcd, which may be any: `ROOT/TOKEN/_config/size` and `ROOT/TOKEN/ID`.
/// All keys of a token end with its lease.
struct RegistryKeys: RegistryStore {
  let client: EtcdClient
  /// With a slash at its end.
  let root: String
  /// Seconds that a token lives; 0 for ever.
  let life: Int64

  /// - Throws: the refusal that is the answer.
  func answer(
    _ request: RegistryRequest, url: (String) -> String
  ) async throws(RegistryRefusal) -> RegistryAnswer {
    switch request {
    case .new(let size):
      let token = RegistryToken.random(root: root)
      try await make(token, size)
      return RegistryAnswer(text: url(token.text))
    case .size(let token): return try await get("\(token)/_config/size")
    case .entry(let token, let id): return try await get("\(token)/\(id)")
    case .list(let token): return try await list(token)
    case .wait(let token, let from): return try await wait(token, from)
    case .enter(let token, let id, let value): return try await enter(token, id, value)
    case .leave(let token, let id): return try await leave(token, id)
    }
  }

  func close() { client.close() }

  private func key(_ name: String) -> Bytes { Bytes(root + name) }

  private func make(_ token: RegistryToken, _ size: Int) async throws(RegistryRefusal) {
    let made = try await asking(token.text) { () async throws(EtcdClientError) in
      let lease = life > 0 ? try await client.leases.grant(ttl: life).id : 0
      return try await client.kv.txn(token.creation(size: size, lease: lease))
    }
    guard made.succeeded else {
      throw .text(500, "a random token is there already; ask again")
    }
  }

  private func get(_ name: String) async throws(RegistryRefusal) -> RegistryAnswer {
    let found = try await asking(name) { () async throws(EtcdClientError) in
      try await client.kv.get(.key(key(name)))
    }
    let index = found.header?.revision ?? 0
    guard let pair = found.kvs.first else { throw .notFound(root + name, index) }
    return RegistryAnswer(.get, pair, index: index)
  }

  /// The members of a token, and what its configuration is.
  private func members(
    _ token: String
  ) async throws(RegistryRefusal) -> (size: Mvccpb.KeyValue, kvs: [Mvccpb.KeyValue], index: Int64) {
    let found = try await asking(token) { () async throws(EtcdClientError) in
      try await client.kv.get(
        .prefix(key(token + "/")),
        limit: Int64(RegistryToken.sizeMax + RegistryToken.surplusMax + 2))
    }
    let index = found.header?.revision ?? 0
    let size = key("\(token)/_config/size")
    guard let config = found.kvs.first(where: { $0.key == size }) else {
      throw .notFound(root + token, index)
    }
    return (config, found.kvs.filter { $0.key != size }, index)
  }

  private func list(_ token: String) async throws(RegistryRefusal) -> RegistryAnswer {
    let found = try await members(token)
    return RegistryAnswer(directory: root + token, found.kvs, index: found.index)
  }

  private func enter(
    _ token: String, _ id: String, _ value: String
  ) async throws(RegistryRefusal) -> RegistryAnswer {
    let found = try await members(token)
    let size = min(Int(found.size.value.string) ?? 0, RegistryToken.sizeMax)
    guard found.kvs.count < size + RegistryToken.surplusMax else {
      throw RegistryRefusal.text(
        403, "\(found.kvs.count) members have come for a cluster of \(size)")
    }
    let key = key("\(token)/\(id)")
    let put = Etcdserverpb.PutRequest(
      key: key, value: Bytes(value), lease: found.size.lease)
    let done = try await asking(token) { () async throws(EtcdClientError) in
      try await client.kv.txn(
        [
          Etcdserverpb.Compare(result: .equal, target: .version, key: key, targetUnion: .version(0))
        ],
        success: [Etcdserverpb.RequestOp(request: .requestPut(put))])
    }
    let index = done.header?.revision ?? 0
    guard done.succeeded else {
      throw .key(
        V2Error(.nodeExists, "\(root)\(token)/\(id)", index: UInt64(clamping: index)))
    }
    var pair = Mvccpb.KeyValue()
    (pair.key, pair.value) = (key, Bytes(value))
    (pair.createRevision, pair.modRevision) = (index, index)
    return RegistryAnswer(.create, pair, status: 201, index: index)
  }

  private func leave(_ token: String, _ id: String) async throws(RegistryRefusal) -> RegistryAnswer
  {
    let done = try await asking(token) { () async throws(EtcdClientError) in
      try await client.kv.delete(.key(key("\(token)/\(id)")), previous: true)
    }
    let index = done.header?.revision ?? 0
    guard let gone = done.prevKvs.first else { throw .notFound("\(root)\(token)/\(id)", index) }
    return RegistryAnswer(.delete, gone, index: index)
  }

  /// The first who comes at `from` or behind it.
  private func wait(_ token: String, _ from: Int64) async throws(RegistryRefusal) -> RegistryAnswer
  {
    _ = try await members(token)
    do {
      let watch = client.watch(
        .prefix(key(token + "/")), WatchOptions(startRevision: from, deletes: false))
      for try await update in watch {
        guard let event = update.events.first, let pair = event.kv else { continue }
        let action: V2Event.Action = pair.version == 1 ? .create : .set
        return RegistryAnswer(action, pair, index: update.header.revision)
      }
      throw RegistryRefusal.key(V2Error(.raftInternal, "the watch ended"))
    } catch let refusal as RegistryRefusal { throw refusal } catch EtcdClientError.compacted {
      throw RegistryRefusal.key(V2Error(.eventCleared, root + token))
    } catch { throw RegistryRefusal.key(V2Error(.raftInternal, "\(error)")) }
  }

  private func asking<R>(
    _ cause: String, _ body: () async throws(EtcdClientError) -> R
  ) async throws(RegistryRefusal) -> R {
    do throws(EtcdClientError) { return try await body() } catch {
      throw .key(V2Error(.raftInternal, "\(root)\(cause): \(error)"))
    }
  }
}
