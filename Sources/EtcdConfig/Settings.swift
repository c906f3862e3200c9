import GoText

/// What flags and environment say, before it is checked as a whole.
struct Settings {
  var server = ServerConfig()
  var listenPeer: [EtcdURL] = []
  var listenClient: [EtcdURL] = []
  var listenClientHTTP: [EtcdURL] = []
  var listenMetrics: [EtcdURL] = []
  var advertisePeer: [EtcdURL] = []
  /// `nil` once client listeners are given without what to advertise.
  var advertiseClient: [EtcdURL]? = []
  /// Whether client listeners are given by flags, and what to advertise is not.
  var advertisesNothingToClients = false
  var initialCluster = ""
  var isInitialClusterGiven = false
  var backendBatchLimit: Int64 = 0
  var compactionBatchLimit: Int64 = 1000
  var compactionRetention = "0"
  var compactionMode = "periodic"
  /// Where v2 keys would be kept among those of v3.
  var v2v3Prefix = ""
  var logger = "zap"
  var logOutputs: [String] = []
  var logLevel = "info"
  var logFormat = "json"
  var enableLogRotation = false
  var logRotation = ""
  var wantsVersion = false
  var wantsCheck = false
  var notices: [Notice] = []

  /// All flags at their defaults.
  static let defaults: Settings = {
    var settings = Settings()
    for flag in FlagTable.all where flag.fallback != "" || flag.name == "data-dir" {
      do {
        flag.apply(&settings, try flag.read(flag.fallback))
      } catch {
        preconditionFailure("default of --\(flag.name): \(error)")
      }
    }
    settings.isInitialClusterGiven = false
    return settings
  }()
}

/// Something worth a line in the log once there is one.
public struct Notice: Sendable, Equatable {
  public enum Level: Sendable { case info, warn }
  public let level: Level
  public let message: String
  /// Name and value pairs.
  public let fields: [Field]

  /// A named detail.
  public struct Field: Sendable, Equatable {
    public let name: String
    public let value: String
  }

  init(_ level: Level, _ message: String, _ fields: (String, String)...) {
    self.init(level, message, fields)
  }

  init(_ level: Level, _ message: String, _ fields: [(String, String)]) {
    self.level = level
    self.message = message
    self.fields = fields.map { Field(name: $0.0, value: $0.1) }
  }
}
