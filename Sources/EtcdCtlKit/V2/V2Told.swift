import CommandLineTool
import V2API

extension V2Failure {
  /// What Go's error handler prints, and the end of the command.
  func told(_ invocation: V2Invocation, exitCode: Int32) -> CommandFailure {
    invocation.console.printError("Error:  \(message)\n")
    if case .cluster(let attempts) = self {
      let lines = attempts.enumerated().map { "error #\($0): \($1.message)\n" }
      invocation.console.printError(lines.joined() + "\n")
    }
    return .told(exitCode: exitCode)
  }

  /// Exit codes of the v2 API's commands that the v3 API has not.
  ///
  /// - Source: etcd 3.5 `pkg/cobrautl/error.go`.
  static let serverError: Int32 = 4
  static let clusterNotHealthy: Int32 = 5
}
