import GoText

/// The peer URLs of every first member, by name.
public enum InitialCluster {
  /// Takes `name=url,name=url` apart; a name may come more than once. URLs are sorted.
  /// - Throws: for the first URL that is none.
  /// - Source: etcd `types.NewURLsMap`.
  public static func parse(_ text: String) throws(EtcdURL.Failure) -> [String: [String]] {
    try urls(text).mapValues { $0.map(\.description).sorted() }
  }

  static func urls(_ text: String) throws(EtcdURL.Failure) -> [String: [EtcdURL]] {
    var found: [String: [EtcdURL]] = [:]
    for part in text.split(separator: ",") {
      let equals = part.firstIndex(of: "=")
      let name = String(part[..<(equals ?? part.endIndex)])
      let given = equals.map { String(part[part.index(after: $0)...]) } ?? ""
      found[name, default: []].append(try EtcdURL(given))
    }
    return found
  }
}

extension ServerConfig {
  /// Takes `name=url,name=url` apart; a name may come more than once.
  ///
  /// A text that cannot be read is kept as a problem, because it matters only to a member that
  /// founds or joins a cluster: one with data ignores the flag.
  public mutating func setInitialCluster(_ text: String) {
    initialCluster = [:]
    initialClusterProblem = nil
    do throws(EtcdURL.Failure) {
      let found = try InitialCluster.urls(text)
      initialCluster = found.mapValues { $0.map(\.description).sorted() }
    } catch {
      initialClusterProblem = "error setting up initial cluster: \(error.message)"
    }
  }

  /// The initial cluster as one text, sorted.
  public var initialClusterText: String {
    initialCluster.flatMap { name, urls in urls.map { "\(name)=\($0)" } }.sorted()
      .joined(separator: ",")
  }

  /// Why this configuration cannot found (`initial-cluster-state` new) or join (existing) a cluster,
  /// in etcd's words; `nil` when it can. To be asked when the data directory holds no member yet:
  /// one that has data starts from it, whatever these flags say.
  ///
  /// - Parameter resolve: the numeric `host:port` of a named one, `nil` when it has none. Asked only
  ///   when advertised URLs and initial cluster differ as texts.
  /// - Source: etcd `ServerConfig.VerifyBootstrap` and `VerifyJoinExisting`.
  public func bootstrapProblem(resolve: (_ hostPort: String) -> String?) -> String? {
    if let initialClusterProblem { return initialClusterProblem }
    guard let own = initialCluster[name] else {
      return "couldn't find local name \(GoQuote.text(name)) in the initial cluster configuration"
    }
    if isNewCluster, let mismatch = advertiseMismatch(own, resolve) { return mismatch }
    let all = initialCluster.values.joined()
    if Set(all).count != all.count {
      return "initial cluster \(initialClusterText) has duplicate url"
    }
    return nil
  }

  /// What to write when the initial cluster has no member of this name, which etcd's words leave open; `nil`
  /// when it has one.
  public var nameAdvice: String? {
    guard initialCluster[name] == nil else { return nil }
    let names = initialCluster.keys.sorted().joined(separator: ", ")
    return "give one of its names to --name (\(names)), or write \(name)=URL in --initial-cluster, "
      + "the same in every member's"
  }

  /// Compares what the member advertises with what the initial cluster has for it.
  private func advertiseMismatch(
    _ own: [String], _ resolve: (String) -> String?
  ) -> String? {
    let advertised = initialAdvertisePeerURLs.sorted()
    guard advertised != own else { return nil }
    let reason: String
    if advertised.count != own.count {
      reason = "len(\(GoQuote.list(advertised))) != len(\(GoQuote.list(own)))"
    } else {
      let first = Self.resolved(advertised, resolve)
      let second = Self.resolved(own, resolve)
      if let failed = first.failure ?? second.failure {
        reason = "failed to resolve \(GoQuote.text(failed))"
      } else if let index = first.urls.indices.first(where: {
        first.urls[$0] != second.urls[$0]
      }) {
        reason =
          "\(GoQuote.text(first.urls[index]))(resolved from \(GoQuote.text(advertised[index])))"
          + " != \(GoQuote.text(second.urls[index]))(resolved from \(GoQuote.text(own[index])))"
      } else {
        return nil
      }
    }
    let advertisedText = advertised.joined(separator: ",")
    let missing = own.filter { !advertised.contains($0) }.map { "\(name)=\($0)" }
    if !missing.isEmpty {
      return "--initial-cluster has \(missing.joined(separator: ",")) but missing from"
        + " --initial-advertise-peer-urls=\(advertisedText) (\(reason))"
    }
    let extra = advertised.filter { !own.contains($0) }.joined(separator: ",")
    let cluster = advertised.map { "\(name)=\($0)" }.joined(separator: ",")
    return
      "--initial-advertise-peer-urls has \(extra) but missing from --initial-cluster=\(cluster)"
  }

  /// The URLs with names replaced by addresses, sorted; or the first that has none.
  private static func resolved(
    _ urls: [String], _ resolve: (String) -> String?
  ) -> (urls: [String], failure: String?) {
    var found: [String] = []
    for text in urls {
      guard let url = try? EtcdURL(text), let address = url.hostPort,
        address.host != "localhost", !address.isNumeric
      else {
        found.append(text)
        continue
      }
      guard let numeric = resolve(url.address) else { return ([], text) }
      found.append("\(url.scheme.rawValue)://\(numeric)")
    }
    return (found.sorted(), nil)
  }
}
