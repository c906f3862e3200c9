import Bytes
import EtcdAPI
import Testing

@testable import MVCC

/// Transactions whose operations contradict each other.
@Suite struct TxnTests {
  /// A deletion without an end overlaps a put that keeps what is deleted: etcd's check at the API lets
  /// it through, and Go etcd ends with a panic on every member. Here it fails and changes nothing.
  @Test(arguments: [true, false])
  func aPutThatKeepsWhatIsDeletedBeforeIt(isNested: Bool) throws {
    var store = try MVCCStore.restore(from: MemoryBackend().state())
    _ = try store.apply(Etcdserverpb.PutRequest(key: "k", value: "v"))
    let before = try store.snapshot().hash(at: 0)
    let put = Etcdserverpb.RequestOp(
      request: .requestPut(Etcdserverpb.PutRequest(key: "k", value: "w", ignoreLease: true)))
    let delete = Etcdserverpb.RequestOp(
      request: .requestDeleteRange(
        Etcdserverpb.DeleteRangeRequest(key: "a", rangeEnd: Bytes([0]))))
    let inner = Etcdserverpb.RequestOp(
      request: .requestTxn(Etcdserverpb.TxnRequest(success: [put])))
    #expect(throws: StoreError.keyNotFound) {
      _ = try store.apply(
        Etcdserverpb.TxnRequest(success: isNested ? [delete, inner] : [delete, put]))
    }
    #expect(try store.snapshot().hash(at: 0).hash == before.hash)
    // The other order works: the deletion takes the pair that was written.
    _ = try store.apply(Etcdserverpb.TxnRequest(success: [put, delete]))
    #expect(store.liveKeys == 0)
    _ = try store.apply(Etcdserverpb.PutRequest(key: "k", value: "x"))
    #expect(store.revision == 4)
  }
}
