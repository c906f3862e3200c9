extension FlagTable {
  static let monitoring: [Flag] = [
    Flag(
      "enable-pprof", .monitoring, .bool, "false",
      "Enable runtime profiling data via HTTP server."
    ) { $0.server.enablePprof = $1.bool },
    Flag(
      "metrics", .monitoring, .text, "basic",
      "Set level of detail for exported metrics, specify 'extensive' to include server side grpc"
        + " histogram metrics."
    ) { $0.server.extensiveMetrics = $1.text == "extensive" },
    Flag(
      "listen-metrics-urls", .monitoring, .urls(exceptions: [""]), "",
      "List of URLs to listen on for the metrics and health endpoints."
    ) { if let urls = $1.uniqueURLs { $0.listenMetrics = urls } },
  ]

  static let logging: [Flag] = [
    Flag(
      "logger", .logging, .text, "zap",
      "Currently only supports 'zap' for structured logging."
    ) { $0.logger = $1.text },
    Flag(
      "log-outputs", .logging, .words, "default",
      "Specify 'stdout' or 'stderr' to skip journald logging even when running under systemd, or"
        + " list of comma separated output targets."
    ) { $0.logOutputs = $1.words },
    Flag(
      "log-level", .logging, .text, "info",
      "Configures log level. Only supports debug, info, warn, error, panic, or fatal."
    ) { $0.logLevel = $1.text },
    Flag(
      "log-format", .logging, .text, "json",
      "Configures log format. Only supports json, console."
    ) { $0.logFormat = $1.text },
    Flag(
      "enable-log-rotation", .logging, .bool, "false",
      "Enable log rotation of a single log-outputs file target."
    ) { $0.enableLogRotation = $1.bool },
    Flag(
      "log-rotation-config-json", .logging, .text,
      #"{"maxsize": 100, "maxage": 0, "maxbackups": 0, "localtime": false, "compress": false}"#,
      "Configures log rotation if enabled with a JSON logger config: MaxSize in MB, MaxAge in days"
        + " and MaxBackups (0 is no limit), LocalTime, Compress."
    ) { $0.logRotation = $1.text },
  ]

  static let tracing: [Flag] = [
    Flag(
      "experimental-enable-distributed-tracing", .tracing, .bool, "false",
      "Enable experimental distributed tracing: spans of gRPC calls, by OTLP."
    ) { $0.server.tracing.isEnabled = $1.bool },
    Flag(
      "experimental-distributed-tracing-address", .tracing, .text, "localhost:4317",
      "Distributed tracing collector address."
    ) { $0.server.tracing.address = $1.text },
    Flag(
      "experimental-distributed-tracing-service-name", .tracing, .text, "etcd",
      "Distributed tracing service name, must be same across all etcd instances."
    ) { $0.server.tracing.serviceName = $1.text },
    Flag(
      "experimental-distributed-tracing-instance-id", .tracing, .text, "",
      "Distributed tracing instance ID, must be unique per each etcd instance."
    ) { $0.server.tracing.instanceID = $1.text },
    Flag(
      "experimental-distributed-tracing-sampling-rate", .tracing, .signed, "0",
      "Number of samples to collect per million spans; calls whose clients record them always are."
    ) { $0.server.tracing.samplingRate = Int(clamping: $1.signed) },
  ]

  static let proxy: [Flag] = [
    Flag(
      "proxy", .proxy, .choice(["off", "readonly", "on"]), "off",
      "Proxy mode setting ('off', 'readonly' or 'on')."
    ) { $0.server.proxy.mode = ServerConfig.Proxy.Mode(rawValue: $1.text) ?? .off },
    Flag(
      "proxy-failure-wait", .proxy, .unsigned, "5000",
      "Time (in milliseconds) an endpoint will be held in a failed state."
    ) { $0.server.proxy.failureWait = $1.span },
    Flag(
      "proxy-refresh-interval", .proxy, .unsigned, "30000",
      "Time (in milliseconds) of the endpoints refresh interval."
    ) { $0.server.proxy.refreshInterval = $1.span },
    Flag(
      "proxy-dial-timeout", .proxy, .unsigned, "1000",
      "Time (in milliseconds) for a dial to timeout."
    ) { $0.server.proxy.dialTimeout = $1.span },
    Flag(
      "proxy-write-timeout", .proxy, .unsigned, "5000",
      "Time (in milliseconds) for a write to timeout."
    ) { $0.server.proxy.writeTimeout = $1.span },
    Flag(
      "proxy-read-timeout", .proxy, .unsigned, "0",
      "Time (in milliseconds) for a read to timeout."
    ) { $0.server.proxy.readTimeout = $1.span },
  ]

  /// Flags that etcd 3.5 warns about whenever they are given.
  /// - Source: etcd `etcdmain.deprecatedFlags`.
  static let deprecated = Set(proxy.map(\.name) + ["enable-v2", "experimental-enable-v2v3"])

  static let unsafe: [Flag] = [
    Flag(
      "force-new-cluster", .unsafe, .bool, "false",
      "Force to create a new one-member cluster."
    ) { $0.server.forceNewCluster = $1.bool },
    Flag(
      "unsafe-no-fsync", .unsafe, .bool, "false",
      "Disables fsync, unsafe, will cause data loss."
    ) { $0.server.unsafeNoFsync = $1.bool },
  ]
}
