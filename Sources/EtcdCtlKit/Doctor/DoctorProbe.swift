import Bytes
import Calls
import EtcdAPI
import EtcdClient
import EventLoops
import Protobuf
import TLS

/// Asks a cluster what `DoctorChecks` wants to know: all endpoints at the same time, within the command's timeouts.
struct DoctorProbe: Sendable {
  let settings: ClientSettings
  let loop: EventLoop
  /// Seconds since 1970 with the fraction.
  let now: @Sendable () -> Double

  /// Endpoints that are asked at most; a cluster has few members.
  static let endpointsMax = 64

  /// What the endpoints of the command line say, and those of members that none of them belongs to.
  func facts() async -> DoctorFacts {
    var facts = DoctorFacts()
    facts.now = Int64(exactly: now().rounded(.down)) ?? 0
    var asked = Set(settings.endpoints)
    facts.endpoints = await ask(settings.endpoints)
    let members = await first { client, deadline throws(GRPCStatus) in
      // Of the member itself: there may be no leader.
      try await client.call(
        Etcdserverpb.ClusterService.memberList, Etcdserverpb.MemberListRequest(linearizable: false),
        Etcdserverpb.MemberListResponse.self, deadline: deadline)
    }
    switch members {
    case .success(let list):
      facts.members = list.members.map {
        .init(id: $0.id, name: $0.name, clientURLs: $0.clientURLs, isLearner: $0.isLearner)
      }
    case .failure(let failure): facts.membersProblem = failure.message
    }
    let reached = Set(facts.endpoints.compactMap(\.memberID))
    let others = facts.members.filter { !reached.contains($0.id) }.compactMap(\.clientURLs.first)
    facts.endpoints += await ask(others.filter { asked.insert($0).inserted })
    await addAlarms(to: &facts)
    return facts
  }

  private func addAlarms(to facts: inout DoctorFacts) async {
    let alarms = await first { client, deadline throws(GRPCStatus) in
      try await client.call(
        Etcdserverpb.MaintenanceService.alarm, Etcdserverpb.AlarmRequest(action: .get),
        Etcdserverpb.AlarmResponse.self, deadline: deadline)
    }
    switch alarms {
    case .success(let list): facts.alarms = list.alarms
    case .failure(let failure): facts.alarmsProblem = failure.message
    }
  }

  /// Asks whichever endpoint answers.
  private func first<Reply: Sendable>(
    _ request:
      @escaping @Sendable (ClientSession, ContinuousClock.Instant) async throws(GRPCStatus)
      -> ClientSession.Answer<Reply>
  ) async -> Result<Reply, ClientFailure> {
    let client = ClientSession(settings.client, loop: loop, observer: nil)
    defer { client.close() }
    do throws(GRPCStatus) {
      return .success(try await request(client, .now + settings.commandTimeout).message)
    } catch { return .failure(ClientFailure(error)) }
  }

  // MARK: endpoints

  private func ask(_ endpoints: [String]) async -> [DoctorFacts.Endpoint] {
    let pages = try? MemberPages(settings, endpoints, loop: loop, timeout: settings.commandTimeout)
    defer { pages?.close() }
    return await withTaskGroup(of: (Int, DoctorFacts.Endpoint).self) { group in
      for (at, endpoint) in endpoints.prefix(Self.endpointsMax).enumerated() {
        group.addTask { (at, await ask(endpoint, pages)) }
      }
      var found: [(Int, DoctorFacts.Endpoint)] = []
      for await one in group { found.append(one) }
      return found.sorted { $0.0 < $1.0 }.map(\.1)
    }
  }

  private func ask(_ endpoint: String, _ pages: MemberPages?) async -> DoctorFacts.Endpoint {
    var facts = DoctorFacts.Endpoint(endpoint: endpoint)
    var settings = settings
    settings.endpoints = [endpoint]
    // Hints of this endpoint are shown beside it, not behind the command.
    settings.phases = PhaseLog()
    let session = Session(settings, loop: loop, log: ClientLog(now: now, write: { _ in }))
    defer { session.close() }
    do throws(ClientFailure) {
      facts.status = try await session.call(
        Etcdserverpb.MaintenanceService.status, Etcdserverpb.StatusRequest(),
        Etcdserverpb.StatusResponse.self, deadline: .now + settings.commandTimeout
      ).message
    } catch {
      let lines = await HintFinder(settings.phases).lines(on: loop)
      facts.hint = lines.first.map(Hint.body) ?? error.message
    }
    if facts.status != nil { facts.read = await read(session) }
    if settings.isSecure(endpoint) {
      let shown = await CertificateProbe.look(
        at: endpoint, settings.tls, loop: loop, within: settings.dialTimeout)
      if case .success(let certificate) = shown {
        facts.certificate = .init(
          what: endpoint, commonName: certificate.commonName, notAfter: certificate.notAfter)
      }
    }
    if facts.status != nil { await addPages(to: &facts, pages) }
    return facts
  }

  /// - Returns: seconds.
  private func read(_ session: Session) async -> Result<Double, ClientFailure> {
    let start = now()
    do throws(ClientFailure) {
      _ = try await session.call(
        Etcdserverpb.KVService.range, Etcdserverpb.RangeRequest(key: "health"),
        Etcdserverpb.RangeResponse.self, deadline: .now + settings.commandTimeout)
    } catch {
      // A refusal has gone through consensus as well.
      guard error.message == EtcdError.permissionDenied.message else { return .failure(error) }
    }
    return .success(Swift.max(0, now() - start))  // checked: floating
  }

  /// Metrics, and the clock by the head of the page.
  private func addPages(to facts: inout DoctorFacts.Endpoint, _ pages: MemberPages?) async {
    guard let pages else {
      facts.metricsProblem = "no TLS for HTTP"
      return
    }
    let start = now()
    let answer = await pages.get("/metrics", at: facts.endpoint)
    let end = now()
    switch answer {
    case .success(let page):
      if let date = page.date {
        // The second was cut off, and the answer was made at some time in between.
        facts.clockOffset = Double(date) + 0.5 - (start + end) / 2  // checked: floating
        facts.clockError = 0.5 + (end - start) / 2  // checked: floating
      }
      if page.status == 200 {
        facts.metrics = MetricsText(page.body.string) { name in
          !name.hasPrefix("grpc_") && !name.hasPrefix("go_")
        }
      } else {
        facts.metricsProblem = "status \(page.status)"
      }
    case .failure(let failure): facts.metricsProblem = failure.message
    }
  }

  // MARK: files

  /// Certificates of the flags.
  static func ownCertificates(_ settings: ClientSettings) -> [DoctorFacts.Certificate] {
    let files = [
      ("--cert", settings.tls?.certificateFile), ("--cacert", settings.tls?.trustedCAFile),
    ]
    return files.flatMap { flag, path -> [DoctorFacts.Certificate] in
      guard let path, !path.isEmpty, let pem = try? TLSMaterial.contents(path) else { return [] }
      return CertificateFacts.all(pem: pem).map {
        .init(what: flag, commonName: $0.commonName, notAfter: $0.notAfter)
      }
    }
  }
}
