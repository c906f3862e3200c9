import EventLoops
import GoText
import Platform
import Synchronization
import TLS

/// Looks whether the files of certificates, keys, authorities, lists of revoked certificates and keys of tokens
/// have changed, and how long certificates are valid. What cannot be used is told, and what was read before counts on.
///
/// Go etcd reads certificate and key with every handshake, authorities at the start only.
package final class CertificateKeeper: @unchecked Sendable {
  // @unchecked: `expiries` is used by the worker alone, `timer` by the loop alone; the rest is immutable.

  private let materials: [(use: String, material: TLSMaterial)]
  private let tokens: JSONWebTokens?
  private let logger: Logger
  private let worker: WorkerThread
  private let isLooking = Atomic(false)
  private var expiries: [String: ExpiryNotice] = [:]
  private var timer: LoopTimer?

  /// Between two looks at the files.
  private static let interval = Duration.seconds(1)

  /// - Returns: `nil` when no file has to be watched.
  init?(
    _ materials: [(use: String, material: TLSMaterial)], _ tokens: TokenProvider?,
    _ logger: Logger, _ registry: MetricsRegistry
  ) {
    if case .signed(let signed) = tokens { self.tokens = signed } else { self.tokens = nil }
    guard !materials.isEmpty || self.tokens != nil else { return nil }
    self.materials = materials
    self.logger = logger
    worker = WorkerThread(name: "etcd-tls", isBackground: true)
    for (use, material) in materials {
      for (name, _) in Self.certificates(use, material.current) {
        registry.gauge(
          "etcd_tls_certificate_expiry_seconds",
          "Seconds until a certificate in use expires, negative once it has.", ["use": name]
        ) {
          let facts = Self.certificates(use, material.current).first { $0.name == name }?.facts
          return facts.map { Double($0.notAfter) - Double(WallClock.seconds) }
        }
      }
    }
  }

  /// Looks after certificates alone.
  /// - Parameter materials: what each is for.
  /// - Returns: `nil` when there are none.
  package convenience init?(
    _ materials: [(use: String, material: TLSMaterial)], _ logger: Logger,
    _ registry: MetricsRegistry
  ) { self.init(materials, nil, logger, registry) }

  /// On `loop`.
  package func start(on loop: EventLoop) {
    timer = loop.schedule(after: .zero, repeating: Self.interval) { [weak self] in self?.look() }
  }

  /// Begins nothing more. On the loop of `start`.
  package func stop() {
    timer?.cancel()
    timer = nil
  }

  /// Ends the thread; after `stop`.
  package func stopWorker() { worker.stop() }

  private func look() {
    // A disk that hangs gets one question.
    guard !isLooking.exchange(true, ordering: .acquiring) else { return }
    worker.execute { [weak self] in
      guard let self else { return }
      for (use, material) in materials {
        reload(use, material)
        tellExpiry(use, material.current)
      }
      reloadTokens()
      isLooking.store(false, ordering: .releasing)
    }
  }

  private func reload(_ use: String, _ material: TLSMaterial) {
    switch material.reload() {
    case .none: break
    case .reloaded(let context):
      for (name, facts) in Self.certificates(use, context) {
        logger.info("reloaded TLS certificate", Self.fields(name, facts))
      }
    case .broken(let failure):
      logger.warn(
        "cannot use changed TLS files; those read before count on",
        [LogField("use", .string(use)), LogField("error", .error(failure))])
    }
  }

  private func reloadTokens() {
    switch tokens?.reload() ?? .none {
    case .none: break
    case .reloaded: logger.info("reloaded the keys of tokens; those of the keys before are refused")
    case .broken(let failure):
      logger.warn(
        "cannot use changed keys of tokens; those read before count on",
        [LogField("error", .error(failure))])
    }
  }

  private func tellExpiry(_ use: String, _ context: TLSContext) {
    for (name, facts) in Self.certificates(use, context) {
      var notice = expiries[name] ?? ExpiryNotice()
      if let days = notice.due(facts.serial, left: facts.notAfter &- WallClock.seconds) {
        logger.warn(
          days == 0 ? "TLS certificate has expired" : "TLS certificate expires soon",
          Self.fields(name, facts) + [LogField("within-days", .int(days))])
      }
      expiries[name] = notice
    }
  }

  private static func fields(_ use: String, _ facts: CertificateFacts) -> [LogField] {
    // checked: as wide
    let end = CivilTime(secondsSinceEpoch: Int(facts.notAfter)).rfc3339()
    return [
      LogField("use", .string(use)), LogField("serial", .string(facts.serial)),
      LogField("not-after", .string(end)),
    ]
  }

  /// What a use has: `client`, `client-dial` where that is another, `client-ca`.
  private static func certificates(
    _ use: String, _ context: TLSContext
  ) -> [(name: String, facts: CertificateFacts)] {
    [(use, context.leaf), ("\(use)-dial", context.clientLeaf), ("\(use)-ca", context.authority)]
      .compactMap { name, facts in facts.map { (name, $0) } }
  }
}

/// Which warnings about the end of a certificate's validity were given: 30, 7 and 1 days ahead, and when it has
/// come. Pure.
struct ExpiryNotice {
  private static let days = [0, 1, 7, 30]
  private var serial = ""
  /// The last warning's days.
  private var told = Int.max

  /// - Parameter left: seconds of validity.
  /// - Returns: the days to warn of now, 0 for none left; `nil` when nothing is due.
  mutating func due(_ serial: String, left: Int64) -> Int? {
    if serial != self.serial {
      self.serial = serial
      told = .max
    }
    // checked: days are a few
    let reached = Self.days.first { left <= Int64($0) * 86_400 }
    guard let reached, reached < told else { return nil }
    told = reached
    return reached
  }
}
