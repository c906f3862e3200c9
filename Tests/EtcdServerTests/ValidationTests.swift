import Bytes
import EtcdAPI
import Testing

@testable import EtcdServer

/// What a transaction may hold.
@Suite struct ValidationTests {
  /// Operations of nested transactions have what their parent left, whichever branch they are in.
  /// - Source: etcd `v3rpc/key.go` checkTxnRequest.
  @Test(arguments: [true, false]) func nestedOperationsCount(_ inFailure: Bool) throws {
    func puts(_ count: Int, _ prefix: String) -> [Etcdserverpb.RequestOp] {
      (0..<count).map { .init(request: .requestPut(.init(key: Bytes("\(prefix)\($0)")))) }
    }
    func check(_ inner: Int) throws(EtcdError) {
      let nested = Etcdserverpb.RequestOp(request: .requestTxn(.init(success: puts(inner, "i"))))
      let operations = puts(5, "o") + [nested]
      try KVValidation.check(
        inFailure ? .init(failure: operations) : .init(success: operations), maxOps: 10)
    }
    try check(4)
    #expect(throws: EtcdError.tooManyOps) { try check(5) }
    // Deeper ones have less and less.
    var deep = Etcdserverpb.TxnRequest()
    for _ in 0..<10 { deep = .init(success: [.init(request: .requestTxn(deep))]) }
    try KVValidation.check(deep, maxOps: 10)
    deep = .init(success: [.init(request: .requestTxn(deep))])
    #expect(throws: EtcdError.tooManyOps) { try KVValidation.check(deep, maxOps: 10) }
  }
}
