import Bytes
import CZlib
import Platform
import Synchronization

/// A log file that is put aside when it has reached a size: `etcd.log` becomes
/// `etcd-2006-01-02T15-04-05.000.log`, and the newest of those are kept, compressed if wanted.
///
/// Any thread. Old files are removed and compressed by a thread of its own.
///
/// - Source: lumberjack's names and order, which etcd's log rotation has.
public final class RotatingLogFile: Sendable {
  /// When to put a file aside and what to keep.
  public struct Policy: Sendable {
    /// Bytes a file may have; a longer line gets a file of its own.
    public var maxBytes: Int
    /// Seconds that a file put aside is kept; `nil` = for ever.
    public var maxAge: Int?
    /// Files put aside that are kept; `nil` = all.
    public var maxBackups: Int?
    /// Whether names have local time; else UTC.
    public var localTime: Bool
    /// Whether files put aside are compressed.
    public var compress: Bool

    public init(
      maxBytes: Int, maxAge: Int? = nil, maxBackups: Int? = nil, localTime: Bool = false,
      compress: Bool = false
    ) {
      self.maxBytes = maxBytes
      self.maxAge = maxAge
      self.maxBackups = maxBackups
      self.localTime = localTime
      self.compress = compress
    }

    var needsJanitor: Bool { maxAge != nil || maxBackups != nil || compress }
  }

  private struct State {
    var descriptor: Int32
    var size: Int
  }

  private let path: String
  private let policy: Policy
  private let names: LogFileNames
  private let clock: @Sendable () -> Int64
  private let state: Mutex<State>
  private let janitor: WorkerThread?

  /// Opens or creates the file; missing folders above it are made.
  /// - Parameter clock: nanoseconds since 1970.
  /// - Throws: `ChannelError.system` when it cannot be opened.
  public init(
    path: String, policy: Policy, clock: @escaping @Sendable () -> Int64 = { WallClock.nanoseconds }
  ) throws(ChannelError) {
    self.path = path
    self.policy = policy
    self.clock = clock
    names = LogFileNames(path: path, localTime: policy.localTime)
    LogFileNames.makeFolders(above: path)
    let descriptor = Self.open(path)
    guard descriptor >= 0 else {
      throw .system(operation: "open \(path)", UVError(SystemError.last.number))
    }
    state = Mutex(State(descriptor: descriptor, size: Descriptor.size(of: descriptor)))
    janitor = policy.needsJanitor ? WorkerThread(name: "etcd-log", isBackground: true) : nil
    cleanUp()
  }

  /// Ends the thread once old files are as they should be, and closes the file.
  public func close() {
    janitor?.stop()
    state.withLock { state in
      Descriptor.close(state.descriptor)
      state.descriptor = -1
    }
  }

  /// Appends whole lines.
  func write(_ bytes: Bytes) {
    let rotated = state.withLock { state -> Bool in
      let isFull = state.size > 0 && state.size + bytes.count > policy.maxBytes
      if isFull { rotate(&state) }
      Descriptor.write(bytes, to: state.descriptor)
      state.size += bytes.count
      return isFull
    }
    if rotated { cleanUp() }
  }

  /// Puts the file aside under the time's name and opens a new one. When either fails, the log goes
  /// on in the file that is open.
  private func rotate(_ state: inout State) {
    var time = clock() / 1_000_000
    // Two files of one millisecond must not share a name.
    while Paths.exists(names.backup(milliseconds: time)) { time += 1 }
    do throws(SystemError) { try Paths.rename(path, to: names.backup(milliseconds: time)) } catch {
      guard error == .notFound else {
        state.size = 0
        return
      }
    }
    let descriptor = Self.open(path)
    if descriptor >= 0 {
      Descriptor.close(state.descriptor)
      state.descriptor = descriptor
    }
    state.size = 0
  }

  private func cleanUp() {
    janitor?.execute { [names, policy, clock] in
      let oldest = policy.maxAge.map {
        names.stamp(milliseconds: clock() / 1_000_000 - Int64($0) * 1000)
      }
      let found = names.backups()
      var kept: Set<String> = []
      for backup in found {
        let isPastCount = policy.maxBackups.map { kept.count >= $0 && !kept.contains(backup.stamp) }
        let isPastAge = oldest.map { backup.stamp < $0 }
        if isPastCount == true || isPastAge == true {
          Paths.remove(backup.path)
        } else {
          kept.insert(backup.stamp)
          if policy.compress && !backup.isCompressed { Self.compress(backup.path) }
        }
      }
    }
  }

  /// Makes `path.gz` of `path`; the original stays when that fails.
  private static func compress(_ path: String) {
    let input = Descriptor.openToRead(path)
    guard input >= 0 else { return }
    defer { Descriptor.close(input) }
    let target = path + ".gz"
    guard let output = gzopen(target, "wb") else { return }
    var buffer = [UInt8](repeating: 0, count: 65_536)
    var isComplete = false
    while true {
      let count = Descriptor.read(input, into: &buffer)
      if count <= 0 {
        isComplete = count == 0
        break
      }
      guard gzwrite(output, buffer, UInt32(count)) == count else { break }
    }
    let isClosed = gzclose(output) == Z_OK
    Paths.remove(isComplete && isClosed ? path : target)
  }

  private static func open(_ path: String) -> Int32 {
    Descriptor.openToAppend(path, permissions: 0o600)
  }
}
