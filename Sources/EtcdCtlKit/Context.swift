import Bytes
import CommandLineTool
import EtcdAPI
import EtcdClient
import EventLoops
import Protobuf
import Synchronization

/// A command that talks to servers: settings, session and printer. The calling thread waits.
final class Context {
  let settings: ClientSettings
  let session: Session
  let world: EtcdCtl.World
  let console: Console
  let loop: EventLoop
  let log: ClientLog
  var printer: Printer

  /// Connects to nothing yet, except to authenticate.
  /// - Parameter signsIn: whether the command is over when nobody can sign in.
  /// - Throws: what is wrong with the flags; exit code 2 when authentication fails.
  init(
    _ invocation: Invocation, _ world: EtcdCtl.World, signsIn: Bool = true
  ) throws(CommandFailure) {
    settings = try ClientSettings(invocation, world)
    guard !settings.endpoints.isEmpty else {
      throw CommandFailure(
        "etcdclient: no available endpoints", exitCode: CommandFailure.badConnection)
    }
    self.world = world
    console = invocation.console
    printer = Printer(format: settings.format, isHex: settings.isHex, write: world.write)
    log = ClientLog(now: world.preciseNow, write: console.printError)
    loop = EventLoop(name: "etcdctl")
    loop.start()
    session = Session(settings, loop: loop, log: log)
    guard signsIn else { return }
    do throws(ClientFailure) { try signIn(session) } catch {
      throw CommandFailure(error.message, exitCode: CommandFailure.badConnection)
    }
  }

  /// The client library on this command's session.
  var client: EtcdClient { session.library(on: loop) }

  deinit {
    session.close()
    loop.stop()
  }

  private func signIn(_ session: Session) throws(ClientFailure) {
    let deadline = ContinuousClock.now + settings.dialTimeout
    try Self.wait { () async throws(ClientFailure) in
      try await session.signIn(deadline: deadline)
    }
  }

  /// A session with one endpoint, signed in like this one.
  func session(to endpoint: String) throws(ClientFailure) -> Session {
    var settings = settings
    settings.endpoints = [endpoint]
    let session = Session(settings, loop: loop, log: log)
    try signIn(session)
    return session
  }

  /// A session with another cluster, signed in.
  /// - Throws: exit code 2 when that fails.
  func another(_ settings: ClientSettings) throws(CommandFailure) -> Session {
    let session = Session(settings, loop: loop, log: log)
    do throws(ClientFailure) { try signIn(session) } catch {
      throw CommandFailure(error.message, exitCode: CommandFailure.badConnection)
    }
    return session
  }

  /// When a request that begins now must be answered.
  var deadline: ContinuousClock.Instant { .now + settings.commandTimeout }

  /// A unary request, within the command timeout.
  func call<Reply: ProtobufMessage>(
    _ method: MethodDescriptor, _ request: some ProtobufMessage, _ type: Reply.Type,
    on other: Session? = nil
  ) throws(ClientFailure) -> Session.Answer<Reply> {
    let session = other ?? session
    let deadline = deadline
    return try Self.wait { () async throws(ClientFailure) in
      try await session.call(method, request, type, deadline: deadline)
    }
  }

  /// The same, failing as commands do.
  func request<Reply: ProtobufMessage>(
    _ method: MethodDescriptor, _ request: some ProtobufMessage, _ type: Reply.Type
  ) throws(CommandFailure) -> Session.Answer<Reply> {
    do throws(ClientFailure) {
      return try call(method, request, type)
    } catch { throw CommandFailure(error.message) }
  }

  /// Runs a task and waits for it.
  static func wait<R: Sendable>(
    _ body: @escaping @Sendable () async throws(ClientFailure) -> R
  ) throws(ClientFailure) -> R {
    try Parcel<Result<R, ClientFailure>>.waiting(for: body).get()
  }
}
