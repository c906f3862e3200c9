/// Makes ids that are unique over members and restarts.
///
/// - Shape: 2 bytes of the member id, 5 bytes of the start time in milliseconds, 1 byte counter; the
///   low 6 bytes count up from there.
/// - Source: etcd `pkg/idutil`.
public struct RequestID: Sendable {
  private let prefix: UInt64
  private var suffix: UInt64

  /// - Parameter milliseconds: time since 1970.
  public init(member: UInt64, milliseconds: UInt64) {
    prefix = member << 48
    suffix = (milliseconds & (1 << 40 - 1)) << 8
  }

  public mutating func next() -> UInt64 {
    suffix &+= 1
    return prefix | (suffix & (1 << 48 - 1))
  }
}
