/// Why a member could not start: one line for the log.
public struct StartError: Error, Sendable, CustomStringConvertible {
  /// What the discovery service has to do with it.
  public enum Discovery: Sendable { case full, duplicateID, duplicateName, noSize, other }

  public let description: String
  public let discovery: Discovery?

  public init(_ description: String, discovery: Discovery? = nil) {
    self.description = description
    self.discovery = discovery
  }
}
