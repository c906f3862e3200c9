import EtcdConfig
import EventLoops
import FileSystem

/// How tokens are made, as `--auth-token` says.
enum TokenProvider: Sendable {
  /// Nobody gets one.
  case none
  /// Random letters that every member learns from the log. - Parameter lifetime: nanoseconds.
  case simple(lifetime: UInt64)
  case signed(JSONWebTokens)

  /// Ten years: beyond that nobody can tell.
  private static let secondsMax = 10 * 365 * 86_400

  /// - Throws: for a kind or options that do not exist, in etcd's words.
  init(_ config: ServerConfig, _ logger: Logger) throws(StartError) {
    let options: AuthTokenOptions
    do throws(AuthTokenOptions.Failure) {
      options = try AuthTokenOptions(parsing: config.authToken)
    } catch { throw StartError("\(error): \(error.reason)") }
    switch options.kind {
    case .none: self = .none
    case .simple:
      self = .simple(
        lifetime: UInt64(min(config.authTokenTTL, Self.secondsMax)) * 1_000_000_000)
      logger.warn("simple token is not cryptographically signed")
    case .jwt:
      if !options.unknown.isEmpty {
        logger.warn("unknown JWT options", [LogField("keys", .strings(options.unknown))])
      }
      do throws(SigningKey.Failure) {
        self = .signed(try JSONWebTokens(options, RealFileSystem()))
      } catch { throw StartError(error.description) }
    }
  }
}
