import Bolt
import Bytes
import EtcdAPI
import EtcdConfig
import FileSystem
import Foundation
import MemberStorage
import Protobuf
import TestSupport
import Testing

@testable import EtcdServer

/// `ETCD_VERIFY=all`.
@Suite struct VerifyTests {
  @Test func walksRestTenTimesAsLongAsTheyTake() {
    var verification = Verification()
    #expect(verification.begins(committed: false, now: 5) == false)
    #expect(verification.begins(committed: true, now: 5) == true)
    #expect(verification.begins(committed: true, now: 6) == false, "one is under way")
    verification.ended(now: 8)
    #expect(verification.begins(committed: true, now: 37) == false)
    #expect(verification.begins(committed: true, now: 38) == true)
  }

  @Test func aMemberThatVerifiesServes() async throws {
    var config = ServerConfig()
    config.verifies = true
    try await withServer(config) { server in
      for number in 0..<50 {
        let put = Etcdserverpb.PutRequest(key: Bytes("key\(number)"), value: "value")
        _ = try await server.call("/etcdserverpb.KV/Put", put.encoded())
      }
      _ = try await server.call("/etcdserverpb.Maintenance/Defragment", Bytes())
      let range = Etcdserverpb.RangeRequest(key: "key7")
      let answer = try Etcdserverpb.RangeResponse.decode(
        await server.call("/etcdserverpb.KV/Range", range.encoded()))
      #expect(answer.kvs.map(\.value) == ["value"])
      #expect(server.messages.contains("checks of whole structures are on (ETCD_VERIFY=all)"))
    }
  }

  /// Keys out of order are no contradiction that a reader would notice.
  @Test func aBrokenPageIsFoundWhenTheDatabaseIsOpened() throws {
    let scratch = Scratch()
    var options = BoltOptions()
    options.mapBytes = 1 << 30
    let database = try BoltDatabase(
      RealFileSystem(), path: scratch.path + "/db", options: options)
    let keys = (1...9).map { BoltOperation(key: Bytes("row\($0)"), value: "value") }
    try database.commit([BoltChange(bucket: "key", operations: keys)])
    database.close()
    let url = URL(fileURLWithPath: scratch.path + "/db")
    var data = try Data(contentsOf: url)
    while let found = data.range(of: Data("row5".utf8)) {
      data.replaceSubrange(found, with: Data("zow5".utf8))
    }
    try data.write(to: url)
    try BackendStore(RealFileSystem(), directory: scratch.path, options: options).close()
    options.verifiesPages = true
    let error = #expect(throws: BoltError.self) {
      _ = try BackendStore(RealFileSystem(), directory: scratch.path, options: options)
    }
    #expect(error?.description.contains("out of order") == true, "\(String(describing: error))")
  }
}
