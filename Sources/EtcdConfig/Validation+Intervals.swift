import GoText

extension Validation {
  /// Shortest deadlines of connections between members.
  /// - Source: etcd `rafthttp.DefaultConnReadTimeout`, `DefaultConnWriteTimeout`.
  static let raftTimeoutMin = Duration.seconds(5)
  /// Shortest time between two progress notifications.
  /// - Source: etcd `v3rpc.minWatchProgressInterval`.
  static let watchProgressIntervalMin = Duration.milliseconds(100)

  /// Times and batch sizes: what etcd refuses, and what it raises or replaces by the default.
  mutating func checkIntervals() throws(ConfigFailure) {
    let hashCheck = settings.server.compactHashCheckInterval
    guard hashCheck > .zero else {
      throw ConfigFailure(
        "--experimental-compact-hash-check-time must be >0 (set to \(hashCheck.goDescription))")
    }
    raise(\.raftReadTimeout, to: Self.raftTimeoutMin, "raft-read-timeout")
    raise(\.raftWriteTimeout, to: Self.raftTimeoutMin, "raft-write-timeout")
    let defaults = ServerConfig()
    // Zero and less mean the default for these, as in etcd.
    if settings.server.watchProgressNotifyInterval <= .zero {
      settings.server.watchProgressNotifyInterval = defaults.watchProgressNotifyInterval
    }
    if settings.server.watchProgressNotifyInterval < Self.watchProgressIntervalMin {
      settings.server.watchProgressNotifyInterval = Self.watchProgressIntervalMin
      notice(
        .warn, "adjusting watch progress notify interval to minimum period",
        ("min-watch-progress-notify-interval", Self.watchProgressIntervalMin.goDescription))
    }
    if settings.server.compactionSleepInterval <= .zero {
      settings.server.compactionSleepInterval = defaults.compactionSleepInterval
    }
    if settings.server.warningUnaryRequestDuration <= .zero {
      settings.server.warningUnaryRequestDuration = defaults.warningUnaryRequestDuration
    }
    if settings.server.backendBatchInterval < .zero { settings.server.backendBatchInterval = .zero }
    settings.server.corruptCheckInterval = max(settings.server.corruptCheckInterval, .zero)
    settings.server.downgradeCheckInterval = max(settings.server.downgradeCheckInterval, .zero)
    settings.server.compactionBatchLimit =
      settings.compactionBatchLimit > 0
      ? Int(clamping: settings.compactionBatchLimit) : defaults.compactionBatchLimit
    settings.server.backendBatchLimit = max(0, Int(clamping: settings.backendBatchLimit))
  }

  private mutating func raise(
    _ path: WritableKeyPath<ServerConfig, Duration>, to least: Duration, _ name: String
  ) {
    guard settings.server[keyPath: path] < least else { return }
    settings.server[keyPath: path] = least
    notice(.info, "\(name) increased to minimum value: \(least.goDescription)")
  }
}
