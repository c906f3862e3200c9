/// Whether a cluster has a status page from its start. Pure.
public enum PagePlan: Sendable, Equatable {
  /// Until `devcluster open` asks for one.
  case none
  /// On the last port, or any that is free.
  case free
  case port(Int)

  static let ports = 1024...65_535

  /// `auto`, `none` or a port.
  init?(_ text: String) {
    switch text {
    case "none": self = .none
    case "auto": self = .free
    default:
      guard let port = Int(text), Self.ports.contains(port) else { return nil }
      self = .port(port)
    }
  }

  var text: String {
    switch self {
    case .none: "none"
    case .free: "auto"
    case .port(let port): String(port)
    }
  }

  var port: Int? { if case .port(let port) = self { port } else { nil } }
}
