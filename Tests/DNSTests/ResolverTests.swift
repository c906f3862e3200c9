import Synchronization
import TestSupport
import Testing

@testable import DNS

/// Answers of a server that is right, wrong, silent or hostile.
@Suite struct ResolverTests {
  private static let name = "_etcd-client._tcp.example.test"

  /// What comes of an answer, and how long it took.
  private static func outcome(
    patience: Duration = .milliseconds(300), deadline: Duration = .seconds(3),
    _ answer: @escaping NameServer.Answer
  ) -> Result<[ServiceRecord], DNSFailure> {
    let server = NameServer(answer)
    defer { server.close() }
    let resolver = Resolver(servers: server.address, patience: patience, deadline: deadline)
    do throws(DNSFailure) { return .success(try resolver.services(of: name)) } catch {
      #expect(error.name == name)
      #expect(error.server == server.address)
      return .failure(error)
    }
  }

  private static func reason(_ outcome: Result<[ServiceRecord], DNSFailure>) -> DNSFailure.Reason? {
    guard case .failure(let failure) = outcome else { return nil }
    return failure.reason
  }

  @Test func recordsAreRead() throws {
    let records = try Self.outcome { question, _ in
      [
        DNSMessage.answer(
          to: question,
          records: [
            DNSMessage.service(DNSMessage.name("b.example.test"), port: 65_535, priority: 2),
            DNSMessage.service(DNSMessage.name("a.example.test"), priority: 1, weight: 7),
          ])
      ]
    }.get()
    #expect(
      records == [
        ServiceRecord(target: "a.example.test", port: 2379, priority: 1, weight: 7),
        ServiceRecord(target: "b.example.test", port: 65_535, priority: 2, weight: 0),
      ])
  }

  /// What does not fit into a datagram comes over TCP.
  @Test func longAnswersComeByTCP() throws {
    let target = DNSMessage.name("etcd.example.test")
    let records = try Self.outcome(patience: .seconds(2)) { question, isTCP in
      guard isTCP else { return [DNSMessage.answer(to: question, flags: 0x8780, records: [])] }
      let all = (0..<1500).map { DNSMessage.service(target, port: UInt16($0)) }
      return [DNSMessage.answer(to: question, records: all)]
    }.get()
    #expect(Set(records.map(\.port)) == Set(0..<1500))
  }

  @Test func refusalsHaveReasons() {
    for (code, reason) in [
      (3, .notFound), (2, .misbehaves), (5, .misbehaves), (4, .misbehaves),
    ] as [(UInt16, DNSFailure.Reason)] {
      let outcome = Self.outcome { question, _ in
        [DNSMessage.answer(to: question, flags: 0x8580 | code, records: [])]
      }
      #expect(Self.reason(outcome) == reason, "\(code): \(outcome)")
    }
    let empty = Self.outcome { question, _ in [DNSMessage.answer(to: question, records: [])] }
    #expect(Self.reason(empty) == .notFound)
    // RFC 2782: decidedly not there.
    let none = Self.outcome { question, _ in
      [DNSMessage.answer(to: question, records: [DNSMessage.service([0])])]
    }
    #expect(Self.reason(none) == .notFound)
  }

  @Test func aSilentServerIsGivenUp() {
    let start = ContinuousClock.now
    let outcome = Self.outcome(patience: .milliseconds(100)) { _, _ in [] }
    #expect(Self.reason(outcome) == .timeout)
    #expect(ContinuousClock.now - start < .seconds(3))
  }

  /// Whoever answers without having seen the question, or another question, is not listened to.
  @Test func forgedAnswersAreIgnored() throws {
    let records = try Self.outcome { question, _ in
      let forged = [DNSMessage.service(DNSMessage.name("evil.test"))]
      let other = Array(question[..<12]) + DNSMessage.name("other.test") + [0, 33, 0, 1]
      return [
        DNSMessage.answer(to: question, records: forged, id: [question[0] ^ 1, question[1]]),
        DNSMessage.answer(to: other, records: forged),
        DNSMessage.answer(
          to: question, records: [DNSMessage.service(DNSMessage.name("good.test"))]),
      ]
    }.get()
    #expect(records.map(\.target) == ["good.test"])
  }

  @Test(arguments: ["a b.test", "a/../b.test", "-.test", "x\u{1}.test", "a@evil.test"])
  func namesThatAreNoneAreRefused(_ target: String) {
    let outcome = Self.outcome { question, _ in
      [
        DNSMessage.answer(
          to: question, records: [DNSMessage.service(DNSMessage.name(target))])
      ]
    }
    #expect(Self.reason(outcome) == .invalidNames, "\(outcome)")
  }

  /// A target whose name points to itself, a record longer than the message, counts without records.
  @Test func brokenMessagesAreRefused() {
    let broken: [@Sendable ([UInt8]) -> [UInt8]] = [
      { question in
        // The target's own place: behind the question, the record's head and three numbers.
        let place = UInt16(12 + DNSMessage.asked(question).count + 12 + 6)
        let loop = DNSMessage.bytes(0xc000 | place)
        return DNSMessage.answer(to: question, records: [DNSMessage.service(loop)])
      },
      { question in
        var record = DNSMessage.service(DNSMessage.name("a.test"))
        record[10] = 0xff
        return DNSMessage.answer(to: question, records: [record])
      },
      { question in
        var message = DNSMessage.answer(to: question, records: [])
        message[6] = 0xff
        return message
      },
    ]
    for (number, make) in broken.enumerated() {
      let outcome = Self.outcome { question, _ in [make(question)] }
      #expect(Self.reason(outcome) != nil, "\(number): \(outcome)")
    }
  }

  /// Aliases that lead to each other, to themselves, or on and on, are no services; the question is asked twice at most.
  @Test func aliasesThatLoop() throws {
    let (one, two) = (DNSMessage.name("a.test"), DNSMessage.name("b.test"))
    let own: [UInt8] = [0xc0, 0x0c]
    let chain = (0..<200).map {
      DNSMessage.alias(DNSMessage.name("n\($0 + 1).test"), owner: DNSMessage.name("n\($0).test"))
    }
    for records in [
      [DNSMessage.alias(own)],
      [
        DNSMessage.alias(one), DNSMessage.alias(two, owner: one), DNSMessage.alias(one, owner: two),
      ],
      [DNSMessage.alias(DNSMessage.name("n0.test"))] + chain,
    ] {
      let asked = Atomic(0)
      let outcome = Self.outcome(patience: .seconds(2)) { question, _ in
        asked.add(1, ordering: .relaxed)
        return [DNSMessage.answer(to: question, records: records)]
      }
      #expect(Self.reason(outcome) == .notFound, "\(outcome)")
      #expect(asked.load(ordering: .relaxed) <= 2)
    }
    // An alias in front of records is what resolvers give for one.
    let found = try Self.outcome { question, _ in
      [
        DNSMessage.answer(
          to: question,
          records: [
            DNSMessage.alias(one),
            DNSMessage.service(DNSMessage.name("etcd.test"), owner: one),
          ])
      ]
    }.get()
    #expect(found.map(\.target) == ["etcd.test"])
  }

  /// TCP that promises more than it sends, closes, says that even this is cut off, or sends another question's answer.
  @Test func brokenStreamsAreGivenUp() {
    let broken: [@Sendable ([UInt8]) -> [[UInt8]]] = [
      { _ in [] },
      { question in [Array(DNSMessage.answer(to: question, records: []).prefix(5))] },
      { question in [DNSMessage.answer(to: question, flags: 0x8780, records: [])] },
      { question in
        let other = Array(question[..<12]) + DNSMessage.name("other.test") + [0, 33, 0, 1]
        return [DNSMessage.answer(to: other, records: [])]
      },
      { question in Array(repeating: [UInt8](repeating: 0xff, count: 65_535), count: 20) },
    ]
    for (number, make) in broken.enumerated() {
      let start = ContinuousClock.now
      let outcome = Self.outcome(patience: .milliseconds(200), deadline: .seconds(2)) {
        question, isTCP in
        isTCP ? make(question) : [DNSMessage.answer(to: question, flags: 0x8780, records: [])]
      }
      #expect(Self.reason(outcome) != nil, "\(number): \(outcome)")
      #expect(start.duration(to: .now) < .seconds(6), "\(number)")
    }
  }

  /// Bytes of no meaning, and right answers with bytes changed: no crash, no endless wait, no name that is none.
  @Test func garbage() {
    var random = SeededGenerator.printed("garbage")
    for _ in 0..<300 {
      let seed = random.next()
      let outcome = Self.outcome(
        patience: .milliseconds(5), deadline: .milliseconds(50)
      ) { question, _ in
        var random = SeededGenerator(state: seed)
        var message = DNSMessage.answer(
          to: question,
          records: (0..<3).map { _ in DNSMessage.service(DNSMessage.name("etcd.example.test")) })
        for _ in 0...Int.random(in: 0..<6, using: &random) {
          message[Int.random(in: 2..<message.count, using: &random)] =
            UInt8.random(in: 0...255, using: &random)
        }
        message.removeLast(Int.random(in: 0..<20, using: &random))
        return [message]
      }
      if case .success(let records) = outcome {
        #expect(records.allSatisfy { HostName.isValid($0.target) })
      }
    }
  }

  @Test func noServerThere() {
    let server = NameServer { _, _ in [] }
    server.close()
    let gone = Resolver(
      servers: "127.0.0.1:1", patience: .milliseconds(200), deadline: .seconds(2))
    let error = #expect(throws: DNSFailure.self) { try gone.services(of: Self.name) }
    #expect(error?.reason == .refused || error?.reason == .timeout, "\(String(describing: error))")
  }
}
