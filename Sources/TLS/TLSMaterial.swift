import Bytes
import Platform
import Synchronization

/// Settings and what their files hold now. Connections under way keep what they began with; those that begin
/// get what was read last. Any thread.
public final class TLSMaterial: Sendable {
  /// What came of looking at the files again.
  public enum Change: Sendable {
    case none
    case reloaded(TLSContext)
    /// The files cannot be used; what was read before counts on.
    case broken(TLSFailure)
  }

  private struct State {
    var context: TLSContext
    var files: TLSFiles
    /// Why the files as they are now cannot be used.
    var problem: TLSFailure?
  }

  public let settings: TLSSettings
  private let protocols: [String]
  private let read: @Sendable (String) throws(TLSFailure) -> Bytes
  private let state: Mutex<State>

  /// Reads the files of the settings.
  /// - Parameters:
  ///   - protocols: what dials offer, as ALPN names it.
  ///   - read: the contents of a file.
  /// - Throws: `TLSFailure` in Go's words.
  public init(
    _ settings: TLSSettings, protocols: [String] = [],
    read: @escaping @Sendable (String) throws(TLSFailure) -> Bytes = TLSMaterial.contents
  ) throws(TLSFailure) {
    self.settings = settings
    self.protocols = protocols
    self.read = read
    let files = try TLSFiles(settings, read)
    state = Mutex(
      State(context: try TLSContext(settings, files, protocols: protocols), files: files))
  }

  public var current: TLSContext { state.withLock { $0.context } }

  /// Reads the files again. Blocks for the disk; one thread at a time.
  /// - Returns: what changed; a problem is told once.
  public func reload() -> Change {
    let before = state.withLock { ($0.files, $0.problem) }
    do throws(TLSFailure) {
      let files = try TLSFiles(settings, read)
      guard files != before.0 else {
        state.withLock { $0.problem = nil }
        return .none
      }
      let context = try TLSContext(settings, files, protocols: protocols)
      state.withLock { $0 = State(context: context, files: files, problem: nil) }
      return .reloaded(context)
    } catch {
      guard error != before.1 else { return .none }
      state.withLock { $0.problem = error }
      return .broken(error)
    }
  }

  /// Bytes of a file of certificates, keys or revoked ones.
  public static let fileBytesMax = 16 << 20

  /// The contents of a file of at most `fileBytesMax`.
  /// - Throws: `TLSFailure` in Go's words.
  public static func contents(_ path: String) throws(TLSFailure) -> Bytes {
    if Paths.isDirectory(path) { throw TLSFailure("read \(path): is a directory") }
    guard let bytes = SystemFiles.bytes(of: path, bytesMax: fileBytesMax) else {
      let reason = "\(SystemError.last)".lowercased()
      throw TLSFailure("open \(path): \(reason)")
    }
    guard bytes.count < fileBytesMax else {
      throw TLSFailure("read \(path): larger than \(fileBytesMax) bytes")
    }
    return Bytes(bytes)
  }
}
