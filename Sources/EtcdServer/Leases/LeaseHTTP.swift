import Bytes
import EtcdAPI
import EventLoops
import HTTP
import MVCC
import Member
import Protobuf

/// Lease questions between members: protobuf in the body of a POST.
///
/// - Source: etcd `leasehttp/http.go`.
enum LeaseHTTP {
  static let renewPath = "/leases"
  static let timeToLivePath = "/leases/internal"
  static let contentType = "application/protobuf"
  static let notFound = "lease not found"
  static let notPrimary = "not a primary lessor"
  static let timedOut = "waiting for node to catch up its applied index has timed out"

  static func request(
    _ kind: LeaseQuestion.Kind, to origin: HTTPOrigin
  ) -> HTTPClientRequest {
    let (path, body): (String, Bytes)
    switch kind {
    case .renew(let leases):
      let id = single(leases).rawValue
      (path, body) = (renewPath, Etcdserverpb.LeaseKeepAliveRequest(id: id).encoded())
    case .timeToLive(let id, let keys):
      let question = Etcdserverpb.LeaseTimeToLiveRequest(id: id.rawValue, keys: keys)
      path = timeToLivePath
      body = Leasepb.LeaseInternalRequest(leaseTimeToLiveRequest: question).encoded()
    case .list, .keys: preconditionFailure("every member knows that itself")
    }
    return HTTPClientRequest(
      "POST", origin, path, headers: ["Content-Type": contentType], body: .bytes(body))
  }

  private static func single(_ leases: [LeaseID]) -> LeaseID {
    precondition(
      leases.count == 1, "a request between members renews one lease, not \(leases.count)")
    return leases[0]
  }

  /// Bytes of an answer that a loop may read itself; longer ones have many keys.
  static let bytesOnLoop = 64 << 10

  /// - Returns: `nil` when the member that was asked could not say.
  static func answer(
    _ kind: LeaseQuestion.Kind, status: Int, _ body: Bytes
  ) -> Result<LeaseReply, EtcdError>? {
    if status == 404, body.string.hasPrefix(notFound) {
      if case .renew = kind { return .success(.renewed(ttls: [0], failure: nil)) }
      return .failure(.leaseNotFound)
    }
    guard status == 200 else { return nil }
    switch kind {
    case .renew(let leases):
      guard let answer = try? Etcdserverpb.LeaseKeepAliveResponse.decode(body),
        LeaseID(answer.id) == single(leases)
      else { return nil }
      return .success(.renewed(ttls: [answer.ttl], failure: nil))
    case .timeToLive(let id, _):
      guard let answer = (try? InternalAnswer.decode(body))?.times, LeaseID(answer.id) == id else {
        return nil
      }
      return .success(
        .timeToLive(
          remaining: answer.ttl, granted: answer.grantedTTL, keys: .encoded(answer.keys.finished)))
    case .list, .keys: return nil
    }
  }

  /// `leasepb.LeaseInternalResponse` around an answer with `keys`, which may be many.
  static func body(id: LeaseID, remaining: Int64, granted: Int64, keys: LeaseKeys) -> Bytes {
    let head = Etcdserverpb.LeaseTimeToLiveResponse(
      header: Etcdserverpb.ResponseHeader(), id: id.rawValue, ttl: remaining, grantedTTL: granted
    ).encoded()
    let length = head.count + keys.fieldBytes
    var writer = ByteWriter(capacity: length + 12)
    // Field 1, the answer.
    writer.append(0x0a)
    writer.appendVarint(UInt64(length))
    writer.append(head)
    for key in keys { KeyStream.append(key, to: &writer) }
    return writer.finish()
  }
}

/// What became of a question about a lease, whoever answered it.
enum LeaseReply: Sendable {
  /// Seconds that each lease lives from now on, in the order of the question; 0: there is no such lease. Those
  /// behind one that failed are not in it.
  case renewed(ttls: [Int64], failure: EtcdError?)
  /// Seconds left and granted, and the keys when they were asked for.
  case timeToLive(remaining: Int64, granted: Int64, keys: Keys)

  /// Keys of a lease as they are at hand.
  enum Keys: Sendable {
    case held(LeaseKeys)
    /// As fields of a LeaseTimeToLiveResponse.
    case encoded(Bytes)
  }
}

/// `leasepb.LeaseInternalResponse`, of which the keys are passed on and never looked at: a lease may have
/// hundreds of thousands.
private struct InternalAnswer: WireDecodable {
  var times: Times?

  mutating func merge(
    field number: UInt32, from reader: inout WireReader
  ) throws(ProtobufError) {
    if number == 1 { try reader.message(into: &times) } else { try reader.skip() }
  }

  struct Times: WireDecodable {
    var id: Int64 = 0
    var ttl: Int64 = 0
    var grantedTTL: Int64 = 0
    var keys = Keys()

    mutating func merge(
      field number: UInt32, from reader: inout WireReader
    ) throws(ProtobufError) {
      switch number {
      case 2: id = Int64(bitPattern: try reader.varint())
      case 3: ttl = Int64(bitPattern: try reader.varint())
      case 4: grantedTTL = Int64(bitPattern: try reader.varint())
      case 5: keys.append(try reader.bytes())
      default: try reader.skip()
      }
    }
  }

  struct Keys: Sendable {
    private var keys: [Bytes] = []
    mutating func append(_ key: Bytes) { keys.append(key) }

    /// As fields of a LeaseTimeToLiveResponse.
    var finished: Bytes {
      var writer = ByteWriter(capacity: keys.reduce(0) { $0 + 1 + WireSize.delimited($1.count) })
      for key in keys { KeyStream.append(key, to: &writer) }
      return writer.finish()
    }
  }
}
