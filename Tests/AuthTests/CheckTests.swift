import Auth
import Bytes
import EtcdAPI
import MVCC
import TestSupport
import Testing

/// What users may do, against a plain model of single keys.
@Suite struct CheckTests {
  /// Grants over one-letter keys; the model knows each key apart.
  @Test func coversWhatTheGrantsCover() throws {
    var random = SeededGenerator.printed("coversWhatTheGrantsCover")
    let letters = (0..<12).map { Bytes([0x61 + UInt8($0)]) }
    for _ in 0..<300 {
      var fixture = try Fixture()
      fixture.addUser("u")
      var granted = Set<Int>()
      var openFrom = Int.max
      for role in 0..<Int.random(in: 0...3, using: &random) {
        fixture.addRole("r\(role)")
        fixture.grant("u", "r\(role)")
        for _ in 0..<Int.random(in: 0...3, using: &random) {
          let from = Int.random(in: 0..<12, using: &random)
          let to = Int.random(in: from...12, using: &random)
          let key = letters[from].string
          if to == 12 {
            fixture.permit("r\(role)", .read, key, [0])
            openFrom = min(openFrom, from)
          } else if to == from {
            fixture.permit("r\(role)", .readwrite, key)
            // A single key says nothing about the keys that begin with it.
            if granted.contains(from) { continue }
            granted.insert(from + 100)
          } else {
            fixture.permit("r\(role)", .read, key, letters[to])
            for key in from..<to { granted.insert(key) }
          }
        }
      }
      fixture.enable()
      let caller = fixture.asked(by: "u")
      func allowed(_ key: Bytes, _ end: Bytes) -> Bool {
        do throws(EtcdError) {
          try fixture.auth.checkRead(KeyInterval(key: key, rangeEnd: end), caller)
          return true
        } catch { return false }
      }
      for from in 0..<12 {
        let whole = granted.contains(from) || from >= openFrom
        #expect(allowed(letters[from], Bytes()) == (whole || granted.contains(from + 100)))
        #expect(allowed(letters[from] + "x", Bytes()) == whole)
        #expect(allowed(letters[from], [0]) == (openFrom <= from || spans(from, openFrom, granted)))
        for to in from + 1..<12 {
          let all = (from..<to).allSatisfy { granted.contains($0) || $0 >= openFrom }
          #expect(allowed(letters[from], letters[to]) == all, "\(from)..<\(to) of \(granted)")
        }
      }
    }
  }

  private func spans(_ from: Int, _ openFrom: Int, _ granted: Set<Int>) -> Bool {
    openFrom < 12 && (from..<openFrom).allSatisfy { granted.contains($0) }
  }

  /// Every place in a transaction where a key may stand, at every depth.
  @Test(arguments: 0...3) func walksTheWholeTransaction(depth: Int) throws {
    typealias Op = Etcdserverpb.RequestOp
    var fixture = try Fixture()
    fixture.addUser("u")
    fixture.addRole("r")
    fixture.grant("u", "r")
    fixture.permit("r", .readwrite, "mine", "minf")
    fixture.permit("r", .write, "w")
    fixture.enable()
    let grant = Etcdserverpb.LeaseGrantRequest(ttl: 100, id: 7)
    _ = try fixture.store.apply(grant, minTTL: 1)
    _ = try fixture.store.apply(Etcdserverpb.PutRequest(key: "other", lease: 7))
    let leases = fixture.store.leases
    func nested(_ transaction: Etcdserverpb.TxnRequest, inFailure: Bool) -> Etcdserverpb.TxnRequest
    {
      (0..<depth).reduce(transaction) { inner, _ in
        let operation = Op(request: .requestTxn(inner))
        return inFailure ? .init(failure: [operation]) : .init(success: [operation])
      }
    }
    let refused: [Etcdserverpb.TxnRequest] = [
      .init(compare: [.init(key: "x")]), .init(compare: [.init(key: "w")]),
      .init(compare: [.init(key: "mine", rangeEnd: "z")]),
      .init(success: [.init(request: .requestPut(.init(key: "x")))]),
      .init(failure: [.init(request: .requestPut(.init(key: "x")))]),
      .init(success: [.init(request: .requestPut(.init(key: "w", prevKv: true)))]),
      .init(success: [.init(request: .requestPut(.init(key: "mine", lease: 7)))]),
      .init(failure: [.init(request: .requestRange(.init(key: "mine", rangeEnd: [0])))]),
      .init(success: [.init(request: .requestDeleteRange(.init(key: "w", prevKv: true)))]),
      .init(failure: [.init(request: .requestDeleteRange(.init(key: "min", rangeEnd: "minf")))]),
    ]
    let allowed: [Etcdserverpb.TxnRequest] = [
      .init(compare: [.init(key: "mine")]),
      .init(success: [.init(request: .requestPut(.init(key: "w")))]),
      .init(failure: [.init(request: .requestPut(.init(key: "mine1", lease: 8, prevKv: true)))]),
      .init(success: [.init(request: .requestDeleteRange(.init(key: "mine", rangeEnd: "minf")))]),
    ]
    let caller = fixture.asked(by: "u")
    for inFailure in [false, true] {
      for transaction in refused {
        #expect(throws: EtcdError.permissionDenied, "\(transaction)") {
          try fixture.auth.check(nested(transaction, inFailure: inFailure), leases, caller)
        }
      }
      for transaction in allowed {
        try fixture.auth.check(nested(transaction, inFailure: inFailure), leases, caller)
      }
    }
    #expect(throws: EtcdError.permissionDenied) {
      try fixture.auth.checkLeasePuts(7, leases, caller)
    }
    try fixture.auth.checkLeasePuts(8, leases, caller)
    try fixture.auth.checkLeasePuts(7, leases, fixture.auth.rootInfo)
  }

  @Test func oldAndMissingNamesAreRefused() throws {
    var fixture = try Fixture()
    fixture.addUser("u")
    let range = Etcdserverpb.RangeRequest(key: "a")
    try fixture.auth.check(range, .nobody)
    fixture.enable()
    #expect(throws: EtcdError.userEmpty) { try fixture.auth.check(range, .nobody) }
    let old = fixture.auth.rootInfo
    try fixture.auth.check(range, old)
    fixture.addRole("r")
    #expect(throws: EtcdError.authOldRevision) { try fixture.auth.check(range, old) }
    #expect(throws: EtcdError.permissionDenied) {
      try fixture.auth.check(range, fixture.asked(by: "nobody"))
    }
    try fixture.auth.checkAdmin(old)
    #expect(throws: EtcdError.userNotFound) {
      try fixture.auth.checkAdmin(fixture.asked(by: "nobody"))
    }
    #expect(throws: EtcdError.permissionDenied) {
      try fixture.auth.checkAdmin(fixture.asked(by: "u"))
    }
  }

  @Test func tokensLiveWhileTheyAreUsed() {
    var tokens = SimpleTokens(lifetime: 100)
    tokens.apply(.assign(prefix: "abc", index: 7, user: "u"), now: 0)
    tokens.apply(.assign(prefix: "def", index: 8, user: "v"), now: 0)
    #expect(tokens.use("abc.7", now: 50) == "u")
    #expect(tokens.use("abc.6", now: 140) == "u")
    for wrong in ["abc.8", "abc", "abc.", "abc.7.7", "abc.+7", "xyz.7", ".7", "abc.x", ""] {
      #expect(tokens.use(wrong, now: 141) == nil, "\(wrong)")
    }
    #expect(tokens.use("def.8", now: 141) == nil)
    #expect(tokens.count == 1)
    #expect(tokens.use("abc.7", now: 240) == nil)
    tokens.apply(.assign(prefix: "ghi", index: 9, user: "u"), now: 300)
    tokens.apply(.assign(prefix: "jkl", index: 10, user: "v"), now: 300)
    tokens.apply(.invalidate(user: "u"), now: 300)
    #expect(tokens.use("ghi.9", now: 301) == nil)
    #expect(tokens.use("jkl.10", now: 301) == "v")
    tokens.apply(.invalidateAll, now: 302)
    #expect(tokens.count == 0)
  }
}

extension Bytes {
  static func + (a: Bytes, b: Bytes) -> Bytes { a.appending(b) }
}
