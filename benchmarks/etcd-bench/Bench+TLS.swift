import EventLoops
import Foundation
import GRPC
import HTTP
import TLS

/// The same loads over TLS 1.3 with AES-128-GCM and a certificate on P-256, by h2load's first choice.
extension Bench {
  func secure() async throws {
    let certificates = try Certificates(in: scratch.path)
    let (put, range) = (try bodyFile(Bodies.put, "put"), try bodyFile(Bodies.range, "range"))
    var works = [Work.range(range, "Range, TLS, 1 member"), Work.put(put, "Put, TLS, 1 member")]
    for index in works.indices { works[index].goal = .throughput(8, cpuShare: 0.25) }
    try await loads(works, pair, members: 1, certificates.clientFlags)
    var three = Work.put(put, "Put, TLS for clients and peers, 3 members")
    three.goal = .throughput(3)
    try await loads(
      [three], pair, members: 3, certificates.clientFlags + certificates.peerFlags)
    for server in pair {
      try await handshakes(server, certificates, range)
      try await idleSecureConnections(server, certificates)
    }
  }

  /// New connections with a full handshake and one read each.
  private func handshakes(
    _ server: Server, _ certificates: Certificates, _ body: String
  ) async throws {
    let cluster = try await cluster(server, certificates.clientFlags)
    try await cluster.clients[0].put(Bodies.key, Bodies.value)
    let load = Load(cluster: cluster, scratch: scratch.path)
    var work = Work.range(body, "TLS handshakes, full, with a Range each")
    (work.connections, work.streams) = (scaled(400), 1)
    for _ in 0...options.runs {
      let sample = try await load.once(work)
      results.add(
        ResultLine(work.name, .perSecond, .times(1)), server, sample.perSecond,
        cpu: sample.cpuMicroseconds)
    }
    cluster.stop()
  }

  private func idleSecureConnections(
    _ server: Server, _ certificates: Certificates
  ) async throws {
    let cluster = try await cluster(server, certificates.clientFlags)
    guard let port = cluster.members[0].securePort else { throw BenchError("no port with TLS") }
    let dial = try certificates.dial()
    let first = try await connect(50, port, dial)
    let before = try ProcessFacts.memory(cluster.members[0].pid).anonymous
    let count = scaled(5_000)
    let rest = try await connect(count, port, dial)
    try await Task.sleep(for: .seconds(1))
    let after = try ProcessFacts.memory(cluster.members[0].pid).anonymous
    results.add(
      ResultLine("TLS connection, idle, bytes each of \(count)", .bytes, .most(40_960, .bytes)),
      server, Swift.max(0, (after - before) / Double(count)))
    for client in first + rest { client.abort() }
    cluster.stop()
  }

  private func connect(
    _ count: Int, _ port: Int, _ dial: @escaping HTTPClient.Dial
  ) async throws -> [GRPCClient] {
    let origin = HTTPOrigin(.tcp(host: "127.0.0.1", port: port), scheme: .https)
    var clients: [GRPCClient] = []
    for _ in 0..<count {
      clients.append(try await GRPCClient.connect(to: origin, loop: loop, dial: dial))
    }
    return clients
  }
}

/// A certificate for this machine that vouches for itself.
private struct Certificates {
  private let certificate: String
  private let key: String

  /// - Throws: `BenchError` when openssl cannot make them.
  init(in directory: String) throws(BenchError) {
    certificate = directory + "/cert.pem"
    key = directory + "/key.pem"
    try runProgram(
      "openssl",
      [
        "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
        "-days", "2", "-subj", "/CN=bench", "-addext", "subjectAltName=IP:127.0.0.1",
        "-keyout", key, "-out", certificate,
      ])
  }

  /// The members' flags for the port of clients that speaks TLS.
  var clientFlags: [String] { ["--cert-file", certificate, "--key-file", key] }

  var peerFlags: [String] {
    [
      "--peer-cert-file", certificate, "--peer-key-file", key, "--peer-client-cert-auth",
      "--peer-trusted-ca-file", certificate,
    ]
  }

  func dial() throws -> HTTPClient.Dial {
    var settings = TLSSettings()
    settings.trustedCAFile = certificate
    return HTTPClient.dial(.layered(TLSLayer(try TLSMaterial(settings, protocols: ["h2"]))))
  }
}
