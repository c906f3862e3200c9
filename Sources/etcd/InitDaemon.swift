import Bytes
import EventLoops
import Platform

/// Tells systemd that the member serves clients, for units of `Type=notify`. Without systemd, nobody is
/// told.
///
/// - Source: sd_notify(3); etcd `etcdmain.notifySystemd` for the lines.
func notifyInitDaemon(_ logger: Logger) {
  logger.info("notifying init daemon")
  if let path = ProcessEnvironment.variables["NOTIFY_SOCKET"], !path.isEmpty {
    do throws(ChannelError) {
      let socket = try UnixDatagram(path: path)
      guard socket.send("READY=1") else {
        return logger.error(
          "failed to notify systemd for readiness", [LogField("socket", .string(path))])
      }
    } catch {
      return logger.error(
        "failed to notify systemd for readiness", [LogField("error", .error(error))])
    }
  }
  logger.info("successfully notified init daemon")
}
