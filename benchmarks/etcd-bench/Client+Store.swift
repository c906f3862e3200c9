import Bytes
import EtcdAPI
import GRPC
import Protobuf

/// Filling and changing stores.
extension Client {
  /// Puts keys of 16 bytes, several in a transaction.
  /// - Parameter lease: that they hang on; 0 is none.
  func fill(
    _ keys: Range<Int>, perTransaction: Int, parallel: Int, value: Bytes = Bodies.value,
    lease: Int64 = 0
  ) async throws {
    let starts = stride(from: keys.lowerBound, to: keys.upperBound, by: perTransaction)
    try await withThrowingTaskGroup(of: Void.self) { group in
      var running = 0
      for start in starts {
        if running == parallel {
          try await group.next()
          running -= 1
        }
        let end = Swift.min(start + perTransaction, keys.upperBound)
        group.addTask { try await self.fill(start..<end, value, lease) }
        running += 1
      }
      try await group.waitForAll()
    }
  }

  private func fill(_ keys: Range<Int>, _ value: Bytes, _ lease: Int64) async throws {
    let puts = keys.map {
      Etcdserverpb.PutRequest(key: Bodies.key($0), value: value, lease: lease)
    }
    if puts.count == 1, lease == 0 { return try await put(puts[0].key, puts[0].value) }
    let request = Etcdserverpb.TxnRequest(
      success: puts.map { Etcdserverpb.RequestOp(request: .requestPut($0)) })
    let reply = try await call(
      Etcdserverpb.KVService.txn, request, Etcdserverpb.TxnResponse.self)
    guard reply.succeeded else { throw BenchError("a transaction without compares failed") }
  }

  /// Deletes the keys below one.
  func delete(below key: Bytes) async throws {
    let request = Etcdserverpb.DeleteRangeRequest(key: Bytes([0]), rangeEnd: key)
    _ = try await call(
      Etcdserverpb.KVService.deleteRange, request, Etcdserverpb.DeleteRangeResponse.self)
  }

  /// Compacts up to the store's revision and waits until the rows are gone.
  func compact() async throws {
    let request = Etcdserverpb.CompactionRequest(revision: try await revision(), physical: true)
    _ = try await call(
      Etcdserverpb.KVService.compact, request, Etcdserverpb.CompactionResponse.self,
      timeout: .seconds(120))
  }

  func defragment() async throws {
    _ = try await call(
      Etcdserverpb.MaintenanceService.defragment, Etcdserverpb.DefragmentRequest(),
      Etcdserverpb.DefragmentResponse.self, timeout: .seconds(120))
  }

  func status() async throws -> Etcdserverpb.StatusResponse {
    try await call(
      Etcdserverpb.MaintenanceService.status, Etcdserverpb.StatusRequest(),
      Etcdserverpb.StatusResponse.self)
  }
}
