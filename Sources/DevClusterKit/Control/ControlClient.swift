import Bytes
import JSON
import Platform

/// A short-lived command's end of the control socket. Blocking.
struct ControlClient: ~Copyable {
  private static let answerBytesMax = 4 << 20
  private let descriptor: Int32
  private var buffered: [UInt8] = []

  /// Connects to the supervisor of `directory`.
  /// - Throws: `DevClusterError` when there is none, with the reason and the way out.
  init(_ directory: RunDirectory) throws(DevClusterError) {
    descriptor = try Self.connected(directory)
  }

  /// Connects to the socket at a path; `nil` when nobody listens.
  init?(socket: String) {
    guard case .connected(let descriptor) = LocalSocket.connect(to: socket) else { return nil }
    self.descriptor = descriptor
  }

  private static func connected(_ directory: RunDirectory) throws(DevClusterError) -> Int32 {
    if let entry = try Registry().entries().first(where: { $0.directory == directory.path }),
      case .connected(let descriptor) = LocalSocket.connect(to: entry.socket)
    {
      return descriptor
    }
    try directory.checkAccess()
    if let descriptor = fromInside(directory) { return descriptor }
    throw DevClusterError.notRunning(directory.path)
  }

  /// The socket in the directory itself, for supervisors that another environment has registered elsewhere.
  private static func fromInside(_ directory: RunDirectory) -> Int32? {
    let before = Paths.working
    guard Paths.enter(directory.path) else { return nil }
    defer { if let before { _ = Paths.enter(before) } }
    guard case .connected(let descriptor) = LocalSocket.connect(to: RunDirectory.controlSocket)
    else { return nil }
    return descriptor
  }

  deinit { Descriptor.close(descriptor) }

  /// Sends a request and reads the first answer.
  /// - Throws: `DevClusterError` with the supervisor's reason, or when it is gone.
  mutating func ask(_ request: ControlRequest) throws(DevClusterError) -> JSONValue {
    Descriptor.write(Bytes(request.line), to: descriptor)
    guard let answer = next() else { throw DevClusterError("the supervisor ended meanwhile") }
    if let error = answer["error"]?.string {
      throw DevClusterError(error, code: answer["code"]?.integer(as: Int32.self) ?? 1)
    }
    return answer
  }

  /// The next answer; `nil` when the supervisor is gone.
  mutating func next() -> JSONValue? {
    var chunk = [UInt8](repeating: 0, count: 65_536)
    while true {
      if let end = buffered.firstIndex(of: 0x0a) {
        let line = Bytes(buffered[..<end])
        buffered.removeSubrange(...end)
        return try? JSONValue.parse(line)
      }
      let count = Descriptor.read(descriptor, into: &chunk)
      guard count > 0, buffered.count < Self.answerBytesMax else { return nil }
      buffered += chunk[..<count]
    }
  }

  /// Waits until the supervisor closes its end, which it does when it ends.
  mutating func waitForEnd() { while next() != nil {} }
}
