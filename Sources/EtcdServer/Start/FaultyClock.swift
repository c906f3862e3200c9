import EventLoops
import Platform

/// A time of day that somebody else makes wrong: the fault "clock" of `devcluster`, for tests alone.
enum FaultyClock {
  /// Follows the file that the environment names, if it names one.
  static func followIfAsked(_ logger: Logger) {
    guard let path = ProcessEnvironment.variables[ShiftedClock.variable] else { return }
    do throws(SystemError) { try ShiftedClock.follow(path) } catch {
      return logger.warn(
        "cannot follow the clock of a file",
        [LogField("path", .string(path)), LogField("error", .string("\(error)"))])
    }
    logger.info(
      "the time of day of this member is what a file makes of it (\(ShiftedClock.variable));"
        + " meant for tests", [LogField("path", .string(path))])
  }
}
