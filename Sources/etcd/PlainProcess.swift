import EventLoops
import Platform
import Systemd

/// What systemd is told by programs that are no members.
/// - Source: etcd `etcdmain.notifySystemd`.
enum ServiceNotice {
  static func ready(_ logger: Logger) {
    logger.info("notifying init daemon")
    switch ServiceManager.tell(["READY=1"]) {
    case .told, .nobodyListens: logger.info("successfully notified init daemon")
    case .failed(let number):
      logger.error(
        "failed to notify systemd for readiness",
        [LogField("error", .string(SystemError(number).description))])
    }
  }
}

/// Tells of the signal that is to end a process that is no member; a second one ends it at once.
final class SignalWatch: Sendable {
  private let loop = EventLoop(name: "etcd-signal")

  /// - Parameter onSignal: called once.
  init(_ logger: Logger, _ onSignal: @escaping @Sendable (Int32) -> Void) {
    loop.start()
    loop.run { [loop] in
      var isEnding = false
      do throws(UVError) {
        for number in [Signals.interrupt, Signals.terminate] {
          try loop.onSignal(number) { number in
            if isEnding { Program.end(by: number) }
            isEnding = true
            logger.info(
              "received signal; shutting down",
              [LogField("signal", .string(Process.name(of: number)))])
            onSignal(number)
          }
        }
      } catch { logger.fatal("cannot watch signals", [LogField("error", .error(error))]) }
    }
  }

  func stop() { loop.stop() }
}
