import Bytes
import CUV

/// A child process watched by a loop. Confined to it.
public final class ChildProcess: LoopResource, @unchecked Sendable {
  // @unchecked: confined to `loop`, asserted in init and `kill`.

  /// What to run and how.
  public struct Configuration: Sendable {
    /// Program (found through PATH when it has no slash) and its arguments.
    public var arguments: [String]
    /// The whole environment as `NAME=value`; `nil` inherits ours.
    public var environment: [String]?
    /// Working directory; `nil` inherits ours.
    public var directory: String?
    /// Whether the child leads a session and process group of its own, so that terminal signals
    /// pass it by and `kill(_:group:)` reaches its children.
    public var newGroup = false
    /// One more descriptor of ours that the child gets, as `handedOverNumber`.
    public var handedOver: Int32?
    public init(arguments: [String]) {
      precondition(!arguments.isEmpty, "a process needs a program")
      self.arguments = arguments
    }
  }

  /// The number of a descriptor that was handed over, in the child.
  public static let handedOverNumber: Int32 = 3

  /// How a process ended.
  public enum Exit: Sendable, Equatable, CustomStringConvertible {
    case exited(Int)
    case signalled(Int32)
    public var description: String {
      switch self {
      case .exited(let status): "exit status \(status)"
      case .signalled(let signal): "signal \(signal)"
      }
    }
  }

  /// Which pipe bytes came from.
  public enum Stream: Sendable { case output, error }

  private let handle = UVHandle<uv_process_t>()
  private var pipes: [OutputPipe] = []
  private var exit: Exit?
  private var onExit: ((Exit) -> Void)?
  private let onOutput: ((Stream, Bytes) -> Void)?
  private let newGroup: Bool

  /// Process id; valid until `onExit` was called.
  public var pid: Int32 { Int32(handle.pointer.pointee.pid) }

  /// Starts the process, on the loop.
  /// - Parameters:
  ///   - onOutput: gets what the child writes to stdout and stderr; `nil` lets it share ours.
  ///   - onExit: called once, after the process ended and its pipes were read to their end or 1 s
  ///     later when a grandchild keeps them open.
  /// - Throws: `ChannelError.system` when it cannot be started.
  public init(
    loop: EventLoop, _ configuration: Configuration, onOutput: ((Stream, Bytes) -> Void)?,
    onExit: @escaping (Exit) -> Void
  ) throws(ChannelError) {
    loop.preconditionCurrent()
    self.onOutput = onOutput
    self.onExit = onExit
    newGroup = configuration.newGroup
    super.init(loop: loop)
    let result = spawn(configuration)
    handle.attach(self)
    guard result == 0 else {
      self.onExit = nil
      closePipes()
      handle.close()
      throw .system(operation: "fork/exec \(configuration.arguments[0])", UVError(result))
    }
    for pipe in pipes { pipe.start() }
  }

  private func spawn(_ configuration: Configuration) -> Int32 {
    var options = uv_process_options_t()
    let arguments = CStrings(configuration.arguments)
    let environment = configuration.environment.map(CStrings.init)
    let directory = configuration.directory.map { CStrings([$0]) }
    defer { withExtendedLifetime((arguments, environment, directory)) {} }
    options.file = UnsafePointer(arguments.pointers[0])
    options.args = arguments.base
    options.env = environment?.base
    options.cwd = directory.map { UnsafePointer($0.pointers[0]!) }
    if configuration.newGroup { options.flags |= UInt32(UV_PROCESS_DETACHED.rawValue) }
    options.exit_cb = { handle, status, signal in
      let owner = Unmanaged<LoopResource>.fromOpaque(handle!.pointee.data).takeUnretainedValue()
      (owner as! ChildProcess).ended(signal != 0 ? .signalled(signal) : .exited(Int(status)))
    }
    var stdio = [uv_stdio_container_t](repeating: uv_stdio_container_t(), count: 3)
    if let descriptor = configuration.handedOver {
      var container = uv_stdio_container_t()
      container.flags = UV_INHERIT_FD
      container.data.fd = descriptor
      stdio.append(container)
    }
    stdio[0].flags = UV_IGNORE
    for (index, stream) in [(1, Stream.output), (2, Stream.error)] {
      guard let onOutput else {
        stdio[index].flags = UV_INHERIT_FD
        stdio[index].data.fd = Int32(index)
        continue
      }
      let pipe = OutputPipe(
        loop: loop, onBytes: { onOutput(stream, $0) }, onEnd: { [weak self] in self?.pipeEnded() })
      pipes.append(pipe)
      stdio[index].flags = uv_stdio_flags(UV_CREATE_PIPE.rawValue | UV_WRITABLE_PIPE.rawValue)
      stdio[index].data.stream = pipe.stream
    }
    return stdio.withUnsafeMutableBufferPointer { containers in
      options.stdio = containers.baseAddress
      options.stdio_count = Int32(containers.count)
      return uv_spawn(loop.core!.loop, handle.pointer, &options)
    }
  }

  /// Sends a signal to the process, or to its whole group when it leads one and `group` is set.
  /// Harmless after the end.
  public func kill(_ signal: Int32, group: Bool = false) {
    loop.preconditionCurrent()
    guard exit == nil else { return }
    _ = group && newGroup ? uv_kill(-pid, signal) : uv_process_kill(handle.pointer, signal)
  }

  private func ended(_ how: Exit) {
    exit = how
    if pipes.allSatisfy(\.ended) {
      report()
    } else {
      loop.schedule(after: .seconds(1)) { [weak self] in self?.report() }
    }
  }

  private func pipeEnded() {
    if exit != nil && pipes.allSatisfy(\.ended) { report() }
  }

  private func report() {
    guard let exit, let onExit else { return }
    self.onExit = nil
    closePipes()
    handle.close()
    onExit(exit)
  }

  private func closePipes() {
    for pipe in pipes { pipe.close() }
  }

  /// The loop stops: the child is no longer watched, nor ended.
  override func loopStopping() {
    onExit = nil
    closePipes()
    handle.close()
  }
}

/// The reading end of a child's stdout or stderr.
private final class OutputPipe: LoopResource, @unchecked Sendable {
  // @unchecked: confined to `loop`, like the process that owns it.
  private let handle = UVHandle<uv_pipe_t>()
  private let onBytes: (Bytes) -> Void
  private let onEnd: () -> Void
  private(set) var ended = false

  init(loop: EventLoop, onBytes: @escaping (Bytes) -> Void, onEnd: @escaping () -> Void) {
    self.onBytes = onBytes
    self.onEnd = onEnd
    super.init(loop: loop)
    uv_pipe_init(loop.core!.loop, handle.pointer, 0)
    handle.attach(self)
  }

  var stream: UnsafeMutablePointer<uv_stream_t> {
    UnsafeMutableRawPointer(handle.pointer).assumingMemoryBound(to: uv_stream_t.self)
  }

  func start() {
    uv_read_start(
      stream,
      { handle, _, buffer in
        let room = LoopCore.owner(handle!.pointee.loop).readBuffers.room()
        buffer!.pointee.base = room.baseAddress!.assumingMemoryBound(to: CChar.self)
        buffer!.pointee.len = room.count
      },
      { stream, count, _ in
        let owner = Unmanaged<LoopResource>.fromOpaque(stream!.pointee.data).takeUnretainedValue()
        let pipe = owner as! OutputPipe
        if count > 0 {
          pipe.onBytes(pipe.loop.readBuffers.take(count))
        } else if count < 0 {
          pipe.end()
        }
      })
  }

  private func end() {
    guard !ended else { return }
    close()
    onEnd()
  }

  /// Once: libuv gives the handle's memory back soon after.
  func close() {
    guard !ended else { return }
    ended = true
    handle.close()
  }

  override func loopStopping() { close() }
}

/// A NULL-terminated array of C strings, as exec wants it.
private final class CStrings {
  let pointers: UnsafeMutableBufferPointer<UnsafeMutablePointer<CChar>?>
  var base: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?> { pointers.baseAddress! }

  init(_ strings: [String]) {
    pointers = .allocate(capacity: strings.count + 1)
    for (index, string) in strings.enumerated() {
      let bytes = string.utf8CString
      let copy = UnsafeMutablePointer<CChar>.allocate(capacity: bytes.count)
      bytes.withUnsafeBufferPointer { copy.initialize(from: $0.baseAddress!, count: $0.count) }
      pointers.initializeElement(at: index, to: copy)
    }
    pointers.initializeElement(at: strings.count, to: nil)
  }

  deinit {
    for pointer in pointers { pointer?.deallocate() }
    pointers.deallocate()
  }
}

/// Cuts a byte stream into lines; a line longer than the limit comes in pieces.
public struct LineSplitter: Sendable {
  private var partial: [UInt8] = []
  private let lineBytesMax: Int

  public init(lineBytesMax: Int = 65_536) { self.lineBytesMax = lineBytesMax }

  /// Adds bytes; `body` gets each complete line without its line feed.
  public mutating func add(_ bytes: Bytes, _ body: (Bytes) -> Void) {
    for byte in bytes {
      if byte == 0x0a {
        finish(body, always: true)
      } else {
        partial.append(byte)
        if partial.count == lineBytesMax { finish(body, always: true) }
      }
    }
  }

  /// Hands out a last line that had no line feed.
  public mutating func finish(_ body: (Bytes) -> Void) { finish(body, always: false) }

  private mutating func finish(_ body: (Bytes) -> Void, always: Bool) {
    guard always || !partial.isEmpty else { return }
    body(Bytes(partial))
    partial.removeAll(keepingCapacity: true)
  }
}
