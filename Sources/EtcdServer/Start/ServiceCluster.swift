import DNS
import EtcdConfig
import EventLoops
import GoText
import Platform

/// The first members of a cluster, as the DNS has them.
///
/// - Source: etcd `client/pkg/srv/srv.go`, `embed.Config.GetDNSClusterNames`, `PeerURLsMapAndToken`.
struct ServiceCluster {
  /// The numeric form of `host:port`; `nil` for a name without address.
  typealias Resolve = (String) -> String?

  /// What one service has.
  struct Answer: Equatable {
    let service: ServiceName
    var nodes: [String] = []
    var failure: String?
  }

  /// With TLS, and without.
  let answers: [Answer]

  /// `name=url` of each member.
  var nodes: [String] { answers.flatMap(\.nodes) }

  /// - Parameters:
  ///   - name: of this member, in whose place the DNS has one of the advertised URLs; others are numbered.
  ///   - advertised: peer URLs of this member.
  init(
    domain: String, suffix: String, name: String, advertised: [String], lookup: ServiceLookup,
    resolve: Resolve
  ) {
    answers = [true, false].map { isSecure in
      var answer = Answer(
        service: ServiceName("etcd-server", suffix: suffix, isSecure: isSecure))
      do throws(Failure) {
        answer.nodes = try Self.nodes(
          of: answer.service, domain, name, advertised, lookup, resolve)
      } catch { answer.failure = error.words }
      return answer
    }
  }

  private struct Failure: Error { let words: String }

  private static func nodes(
    of service: ServiceName, _ domain: String, _ name: String, _ advertised: [String],
    _ lookup: ServiceLookup, _ resolve: Resolve
  ) throws(Failure) -> [String] {
    var own: [String: EtcdURL] = [:]
    for text in advertised {
      guard let url = try? EtcdURL(text) else { continue }
      guard let address = resolve(url.address) else {
        throw Failure(words: "lookup \(url.hostPort?.host ?? url.address): no such host")
      }
      own[address] = url
    }
    let prefix = "error querying DNS SRV records for _\(service.label) "
    let records: [ServiceRecord]
    do throws(DNSFailure) { records = try lookup(service.name(in: domain)) } catch {
      throw Failure(words: prefix + error.description)
    }
    var nodes: [String] = []
    var strangers = 0
    var problem: String?
    for record in records {
      guard let address = resolve("\(record.target):\(record.port)") else {
        problem = "lookup \(record.target): no such host"
        continue
      }
      let url = record.url(service.scheme)
      guard let mine = own[address] else {
        nodes.append("\(strangers)=\(url)")
        strangers += 1
        continue
      }
      guard mine.scheme.rawValue == service.scheme else {
        problem =
          "bootstrap at \(url) from DNS for \(service.label) has scheme mismatch with expected peer \(mine)"
        continue
      }
      nodes.append("\(name)=\(url)")
    }
    if nodes.isEmpty, let problem { throw Failure(words: prefix + problem) }
    return nodes
  }
}

extension ServiceCluster {
  /// Fills in who founds the cluster, when the DNS is to say it; waits for its answers.
  /// - Parameter isMember: whether this is one of them.
  /// - Throws: `StartError` in etcd's words when it does not know, or not this member.
  static func complete(
    _ config: inout ServerConfig, _ logger: Logger, isMember: Bool = true
  ) throws(StartError) {
    guard !config.discoverySRV.isEmpty else { return }
    let found = ServiceCluster(
      domain: config.discoverySRV, suffix: config.discoverySRVName, name: config.name,
      advertised: config.initialAdvertisePeerURLs,
      lookup: { name throws(DNSFailure) in try Resolver().services(of: name) },
      resolve: HostLookup.numeric)
    for answer in found.answers { tell(answer, config, logger) }
    let failures = found.answers.compactMap(\.failure).joined(separator: "; ")
    if !failures.isEmpty {
      logger.warn(
        "failed to resolve during SRV discovery", [LogField("error", .string(failures))])
    }
    guard !found.nodes.isEmpty else {
      throw StartError("error setting up initial cluster: \(failures)")
    }
    for node in found.nodes {
      logger.info("got bootstrap from DNS for etcd-server", [LogField("node", .string(node))])
    }
    config.setInitialCluster(found.nodes.joined(separator: ","))
    if isMember, config.initialClusterProblem == nil,
      config.initialCluster[config.name] == nil
    {
      throw StartError(
        "error setting up initial cluster: cannot find local etcd member \(GoQuote.text(config.name))"
          + " in SRV records")
    }
    // Who answers for the DNS must not name another host with a certificate of its own.
    if found.nodes.contains(where: { $0.holds("=https://") }),
      config.peerTLS.trustedCAFile.isEmpty
    {
      config.peerTLS.serverName = config.discoverySRV
    }
  }

  private static func tell(_ answer: Answer, _ config: ServerConfig, _ logger: Logger) {
    var fields = [
      LogField("service-scheme", .string(answer.service.scheme)),
      LogField("service-name", .string(answer.service.label)),
      LogField("server-name", .string(config.name)),
      LogField("discovery-srv", .string(config.discoverySRV)),
      LogField("advertise-peer-urls", .strings(config.initialAdvertisePeerURLs)),
      LogField("found-cluster", .strings(answer.nodes)),
    ]
    if let failure = answer.failure { fields.append(LogField("error", .string(failure))) }
    let kind = answer.service.scheme == "https" ? "etcd-server-ssl" : "etcd-server"
    logger.info("get cluster for \(kind) SRV", fields)
  }
}
