import Bytes
import EventLoops
import JSON
import Platform

/// What other processes ask of a supervisor: one JSON line each way over its unix socket.
///
/// | request | answer |
/// |---|---|
/// | `{"command":"status"}` | `{"members":[…]}` |
/// | `{"command":"down"}` | `{}` once every member has ended |
/// | `{"command":"stop","member":"m1"}` and the other actions | `{}`, maybe with `note` |
/// | `{"command":"guard"}` | a line `{"pids":[…]}` now and whenever they change |
///
/// An answer with `error` says why nothing was done.
enum ControlRequest: Equatable {
  case status
  case down
  case watch
  case member(MemberAction, String)

  var line: String {
    let object: JSONObject =
      switch self {
      case .status: ["command": "status"]
      case .down: ["command": "down"]
      case .watch: ["command": "guard"]
      case .member(let action, let name):
        ["command": .string(action.rawValue), "member": .string(name)]
      }
    return JSONValue.object(object).encoded().string + "\n"
  }

  /// `nil` when `line` is no request.
  init?(_ line: Bytes) {
    guard let json = try? JSONValue.parse(line), let command = json["command"]?.string else {
      return nil
    }
    switch command {
    case "status": self = .status
    case "down": self = .down
    case "guard": self = .watch
    default:
      guard let action = MemberAction(rawValue: command), let name = json["member"]?.string else {
        return nil
      }
      self = .member(action, name)
    }
  }

  init(_ action: MemberAction, _ name: String) { self = .member(action, name) }
}

/// The supervisor's end of one control connection. Confined to its loop.
final class ControlConnection: ByteChannelHandler {
  private static let lineBytesMax = 4096
  private let channel: any ByteChannel
  private let onRequest: (ControlRequest, ControlConnection) -> Void
  private let onClose: (ControlConnection) -> Void
  private var splitter = LineSplitter(lineBytesMax: ControlConnection.lineBytesMax)

  init(
    _ channel: any ByteChannel, onRequest: @escaping (ControlRequest, ControlConnection) -> Void,
    onClose: @escaping (ControlConnection) -> Void
  ) {
    self.channel = channel
    self.onRequest = onRequest
    self.onClose = onClose
    channel.handler = self
    channel.start()
  }

  /// Sends one answer; `isLast` also ends the connection.
  func send(_ object: JSONObject, isLast: Bool = true) {
    channel.write(Bytes(JSONValue.object(object).encoded().string + "\n"))
    if isLast { channel.closeAfterFlush() }
  }

  func channelRead(_ bytes: Bytes) {
    var lines: [Bytes] = []
    splitter.add(bytes) { lines.append($0) }
    for line in lines {
      guard let request = ControlRequest(line) else {
        send(["error": "not a request of devcluster"])
        return
      }
      onRequest(request, self)
    }
  }

  func channelReadEnded() {}
  func channelWritable() {}
  func channelClosed(_ error: ChannelError?) { onClose(self) }
}

/// The other end: blocking, for short-lived commands.
struct ControlClient: ~Copyable {
  private let descriptor: Int32
  private var buffered: [UInt8] = []

  /// Connects to the supervisor of `directory`, which becomes the working directory.
  /// - Throws: `DevClusterError` when there is none.
  init(_ directory: RunDirectory) throws(DevClusterError) {
    descriptor = try Self.connected(directory)
  }

  private static func connected(_ directory: RunDirectory) throws(DevClusterError) -> Int32 {
    let missing = DevClusterError(
      "no cluster is running in \(directory.path) (start it with: devcluster up)")
    guard Paths.enter(directory.path) else { throw missing }
    guard case .connected(let descriptor) = LocalSocket.connect(to: RunDirectory.controlSocket)
    else {
      throw missing
    }
    return descriptor
  }

  deinit { Descriptor.close(descriptor) }

  /// Sends a request and reads the first answer.
  /// - Throws: `DevClusterError` with the supervisor's reason, or when it is gone.
  mutating func ask(_ request: ControlRequest) throws(DevClusterError) -> JSONValue {
    Descriptor.write(Bytes(request.line), to: descriptor)
    guard let answer = next() else { throw DevClusterError("the supervisor ended meanwhile") }
    if let error = answer["error"]?.string { throw DevClusterError(error) }
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
      guard count > 0, buffered.count < 1 << 20 else { return nil }
      buffered += chunk[..<count]
    }
  }
}
