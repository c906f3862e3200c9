/// Which members requests go to, and in which order. A value.
///
/// - Source: etcd `proxy/httpproxy/director.go`. There, a refresh forgets which members did not answer, and one that
///   fails forgets all members; here, both go on to count.
struct ProxyDirector: Sendable {
  /// Client URLs of the members, in the order in which they are tried.
  private(set) var urls: [String] = []
  /// Until when a member is left out, on the loop's clock, by URL.
  private var parked: [String: UInt64] = [:]
  private let failureWait: UInt64

  /// - Parameter failureWait: nanoseconds.
  init(failureWait: UInt64) { self.failureWait = failureWait }

  /// Those that may answer.
  func available(_ now: UInt64) -> [String] {
    urls.filter { parked[$0].map { $0 <= now } ?? true }
  }

  /// The members are others, or the same; in an order of chance, so that not all proxies use the first.
  mutating func update(_ urls: [String], using random: inout some RandomNumberGenerator) {
    self.urls = urls.shuffled(using: &random)
    parked = parked.filter { urls.contains($0.key) }
  }

  /// A member did not answer.
  /// - Returns: whether it is left out from now on and was not before.
  mutating func failed(_ url: String, _ now: UInt64) -> Bool {
    guard urls.contains(url), parked[url].map({ $0 <= now }) ?? true else { return false }
    parked[url] = now.addingReportingOverflow(failureWait).overflow ? .max : now &+ failureWait
    return true
  }
}
