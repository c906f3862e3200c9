#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// What `errno` says about the system call before.
public struct SystemError: Error, Sendable, Equatable, CustomStringConvertible {
  /// The number of the system.
  public let number: Int32

  /// An error by its number.
  public init(_ number: Int32) { self.number = number }

  /// Of the last system call of this thread that failed.
  public static var last: SystemError { SystemError(errno) }

  /// There is no such file.
  public static let notFound = SystemError(ENOENT)
  /// The program is not allowed to.
  public static let notPermitted = SystemError(EACCES)
  /// A directory holds something.
  public static let notEmpty = SystemError(ENOTEMPTY)
  /// There is no room on the disk.
  public static let noSpace = SystemError(ENOSPC)
  /// The disk, or what stands for it, failed.
  public static let input = SystemError(EIO)

  public var description: String { String(cString: strerror(number)) }
}
