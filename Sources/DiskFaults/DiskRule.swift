/// What a disk does wrong. Pure.
public struct DiskRule: Sendable, Equatable {
  /// How it fails.
  public enum Failure: String, Sendable, CaseIterable {
    /// There is no room: what needs some ends with ENOSPC. What was given room before is written.
    case full
    /// It is broken: writes and syncs end with EIO.
    case fail
  }

  /// What a process asks of it.
  public enum Call: Sendable, CaseIterable {
    /// To have written what was given to it: fsync, fdatasync.
    case sync
    /// pwrite and its kin.
    case write
    /// fallocate.
    case allocate
  }

  /// Nanoseconds that each sync takes longer.
  public var delay: UInt64
  public var failure: Failure?

  public init(delay: UInt64 = 0, failure: Failure? = nil) {
    self.delay = delay
    self.failure = failure
  }

  /// Whether the disk is as it should be.
  public var isClear: Bool { self == DiskRule() }

  /// What becomes of a call.
  public enum Outcome: Sendable, Equatable {
    case passes
    /// It passes after so many nanoseconds.
    case waits(UInt64)
    case full
    case fails
  }

  public func outcome(_ call: Call) -> Outcome {
    switch (failure, call) {
    case (.fail, .sync), (.fail, .write): .fails
    case (.full, .write), (.full, .allocate): .full
    case (_, .sync): delay > 0 ? .waits(delay) : .passes
    case (_, .write), (_, .allocate): .passes
    }
  }
}
