import Bytes
import EtcdAPI
import JSON
import Protobuf
import Testing

/// The mapping of the HTTP gateway.
@Suite struct GatewayJSONTests {
  @Test func output() {
    let response = Etcdserverpb.RangeResponse(
      header: .init(
        clusterID: 12_585_971_608_760_269_493, memberID: 13_847_567_121_247_652_255, revision: 2,
        raftTerm: 3),
      kvs: [.init(key: "foo", createRevision: 2, modRevision: 2, version: 1, value: "bar")],
      count: 1)
    #expect(
      response.json().string
        == #"{"header":{"cluster_id":"12585971608760269493","member_id":"13847567121247652255","#
        + #""revision":"2","raft_term":"3"},"kvs":[{"key":"Zm9v","create_revision":"2","#
        + #""mod_revision":"2","version":"1","value":"YmFy"}],"count":"1"}"#)
    #expect(Etcdserverpb.RangeRequest().json() == "{}")
    #expect(
      Etcdserverpb.AlarmResponse(alarms: [.init(memberID: 1, alarm: .nospace)]).json().string
        == #"{"alarms":[{"memberID":"1","alarm":"NOSPACE"}]}"#)
    #expect(
      Etcdserverpb.WatchRequest(requestUnion: .progressRequest(.init())).json()
        == #"{"progress_request":{}}"#)
    #expect(
      Etcdserverpb.HashKVResponse(hash: 4_000_000_000).json() == #"{"hash":4000000000}"#)
    #expect(
      Etcdserverpb.RangeRequest(sortOrder: .unrecognized(7)).json() == #"{"sort_order":7}"#)
  }

  @Test func outputLikeEncodingJSON() {
    let options = JSONOptions(int64AsNumber: true, enumAsNumber: true, escapeHTML: true)
    let member = Etcdserverpb.Member(id: 1, name: "<a>")
    #expect(member.json(options: options).string == #"{"ID":1,"name":"\u003ca\u003e"}"#)
    let event = Mvccpb.Event(type: .delete)
    #expect(event.json(options: options) == #"{"type":1}"#)
  }

  @Test(arguments: [
    #"{"key":"Zm9v","range_end":"+/8=","limit":5,"sort_order":"DESCEND","keys_only":true}"#,
    #" { "key" : "Zm9v" , "rangeEnd" : "+/8=", "limit": "5", "sortOrder": 2, "keysOnly": true } "#,
    #"{"nope":{"x":[1]},"key":"Zm9v","range_end":"+\/8\n=","limit":5,"sort_order":2,"#
      + #""keys_only":true,"revision":null}"#,
  ])
  func input(text: String) throws {
    let expected = Etcdserverpb.RangeRequest(
      key: "foo", rangeEnd: [0xfb, 0xff], limit: 5, sortOrder: .descend, keysOnly: true)
    #expect(try Etcdserverpb.RangeRequest(json: Bytes(text)) == expected)
  }

  @Test func oneofInput() throws {
    for name in ["request_put", "requestPut"] {
      let json = Bytes(#"{"success":[{"\#(name)":{"key":"YQ==","value":"Yg=="}}]}"#)
      let txn = try Etcdserverpb.TxnRequest(json: json)
      #expect(txn.success == [.init(request: .requestPut(.init(key: "a", value: "b")))])
    }
  }

  @Test(arguments: [
    #"{"key":5}"#, #"{"key":"*"}"#, #"{"key":"-_8="}"#, #"{"key":"Zm8"}"#, #"{"limit":"x"}"#,
    #"{"limit":1.5}"#, #"{"limit":5.0}"#, #"{"limit":"5.0"}"#, #"{"limit":"9e0"}"#,
    #"{"limit":1e1}"#,
    #"{"limit":9223372036854775808}"#, #"{"limit":true}"#, #"{"sort_order":"UP"}"#,
    #"{"keys_only":"true"}"#, "[]", "5", "", "{", #"{"key":}"#, #"{} {}"#, #"{"sort_order":1e10}"#,
  ])
  func rejected(text: String) {
    #expect(throws: JSONError.self) { try Etcdserverpb.RangeRequest(json: Bytes(text)) }
  }

  @Test func optionsOfInput() {
    let strict = JSONOptions(rejectUnknown: true)
    #expect(throws: JSONError(.unknownField, #"unknown field "nope""#)) {
      try Etcdserverpb.RangeRequest(json: #"{"nope":1}"#, options: strict)
    }
    let small = JSONOptions(limits: JSONLimits(bytes: 4))
    #expect(throws: JSONError.self) {
      try Etcdserverpb.RangeRequest(json: #"{"a":1}"#, options: small)
    }
  }
}
