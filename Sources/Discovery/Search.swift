import EventLoops
import GoText

/// The way of one member, or of a proxy, to the cluster of a registry: look, enter, look again, wait for the others.
///
/// The calling thread waits, for as long as others do not come and the registry is away.
///
/// - Source: etcd `api/v2discovery/discovery.go`.
package struct Search {
  private let registry: any Registry
  /// The member's id in hexadecimal digits; that of nobody for a proxy.
  private let id: String
  private let logger: Logger
  private let pause: (Duration) -> Void
  private var attempts = 0

  /// Members of a cluster; no registry is asked to found a larger one.
  static let sizeMax: UInt64 = 1024
  /// Behind an answer that names nobody new.
  private static let idlePause = Duration.seconds(1)
  /// Pauses grow until this many failures.
  private static let doublings = 8

  package init(
    _ registry: any Registry, id: String, logger: Logger, pause: @escaping (Duration) -> Void
  ) {
    self.registry = registry
    self.id = id
    self.logger = logger
    self.pause = pause
  }

  /// Enters the member and waits for the others.
  /// - Parameter own: `name=url,name=url` of this member.
  /// - Returns: all, as `--initial-cluster` has them.
  package mutating func join(_ own: String) throws(DiscoveryFailure) -> String {
    guard try look().standing != .full else { throw .full }
    do throws(RegistryProblem) { try registry.enter(id, own) } catch { throw Self.failure(error) }
    let view = try look()
    guard view.standing != .full else { throw .full }
    return try cluster(of: try others(than: view), view.size)
  }

  /// Waits for the members without being one.
  /// - Returns: all, as `--initial-cluster` has them.
  package mutating func cluster() throws(DiscoveryFailure) -> String {
    let view = try look()
    return try cluster(of: try others(than: view), view.size)
  }

  /// A roll as this member sees it.
  struct View: Equatable {
    enum Standing { case member, mayCome, full }
    let size: Int
    /// Those who count, in the order in which they came.
    var entries: [RegistryEntry]
    let index: UInt64
    let standing: Standing

    init(_ roll: Roll, id: String) throws(DiscoveryFailure) {
      guard let size = UInt64(roll.size), size > 0, size <= Search.sizeMax else { throw .badSize }
      self.size = Int(size)  // checked: at most `sizeMax`
      let sorted = roll.entries.sorted { $0.index < $1.index }
      entries = Array(sorted.prefix(self.size))
      index = roll.index
      standing =
        entries.contains { $0.id == id }
        ? .member : entries.count < self.size ? .mayCome : .full
    }
  }

  private mutating func look() throws(DiscoveryFailure) -> View {
    while true {
      let roll: Roll
      do throws(RegistryProblem) { roll = try registry.roll() } catch {
        switch error {
        case .final(let failure): throw failure
        case .away(let path, let error, let detail):
          logger.warn(
            "failed to get from discovery server",
            [
              LogField("discovery-url", .string(registry.name)), LogField("path", .string(path)),
              LogField("error", .string(error)), LogField("err-detail", .string(detail)),
            ])
          backOff("cluster status check")
          continue
        }
      }
      return try View(roll, id: id)
    }
  }

  private mutating func others(than first: View) throws(DiscoveryFailure) -> [RegistryEntry] {
    var view = first
    for entry in view.entries { found(entry) }
    var index = view.index
    while view.entries.count < view.size {
      logger.info(
        "found peers from discovery server; waiting for more",
        [
          LogField("discovery-url", .string(registry.name)),
          LogField("found-peers", .int(view.entries.count)),
          LogField("needed-peers", .int(view.size - view.entries.count)),
        ])
      do throws(RegistryProblem) {
        let news = try registry.next(after: index)
        index = news.index
        guard let entry = news.entry, !view.entries.contains(where: { $0.id == entry.id })
        else {
          // A registry that says the same again and again is not asked as fast as it answers.
          pause(Self.idlePause)
          continue
        }
        found(entry)
        view.entries.append(entry)
      } catch {
        guard case .away(_, let error, let detail) = error else { throw Self.failure(error) }
        logger.warn(
          "error while waiting for peers",
          [
            LogField("discovery-url", .string(registry.name)), LogField("error", .string(error)),
            LogField("err-detail", .string(detail)),
          ])
        backOff("waiting for other nodes")
        view = try look()
        index = view.index
      }
    }
    logger.info(
      "found all needed peers from discovery server",
      [
        LogField("discovery-url", .string(registry.name)),
        LogField("found-peers", .int(view.entries.count)),
      ])
    return view.entries
  }

  private func found(_ entry: RegistryEntry) {
    let isSelf = entry.id == id
    logger.info(
      isSelf ? "found self from discovery server" : "found peer from discovery server",
      [
        LogField("discovery-url", .string(registry.name)),
        LogField(isSelf ? "self" : "peer", .string(LogText.shortened(entry.id))),
      ])
  }

  private mutating func backOff(_ step: String) {
    attempts = min(attempts + 1, Self.doublings)  // checked: small
    let time = Duration.seconds(1 << attempts)
    logger.info(
      "retry connecting to discovery service",
      [
        LogField("url", .string(registry.name)), LogField("reason", .string(step)),
        LogField("backoff", .duration(time)),
      ])
    pause(time)
  }

  private static func failure(_ problem: RegistryProblem) -> DiscoveryFailure {
    switch problem {
    case .final(let failure): failure
    case .away(_, let error, _): .other(error)
    }
  }

  /// - Source: etcd `nodesToCluster`.
  private func cluster(
    of entries: [RegistryEntry], _ size: Int
  ) throws(DiscoveryFailure) -> String {
    let text = entries.map(\.value).joined(separator: ",")
    guard let names = Self.names(text) else { throw registry.badEntry }
    guard names.count == size else { throw .duplicateName }
    return text
  }

  private static func names(_ text: String) -> Set<Substring>? {
    var names: Set<Substring> = []
    for part in text.split(separator: ",") {
      guard let equals = part.firstIndex(of: "="),
        (try? EtcdURL(String(part[part.index(after: equals)...]))) != nil
      else { return nil }
      names.insert(part[..<equals])
    }
    return names
  }
}
