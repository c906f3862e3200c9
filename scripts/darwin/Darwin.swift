// A stand-in for the module of this name on a Mac, for scripts/check-darwin.sh: the C library of the machine that checks, with
// what this package uses that is named or typed otherwise on a Mac. Names that a Mac does not have are looked for by the script.
// Nothing here is ever called.
@_exported import Glibc

public let SOCK_STREAM: Int32 = 1
public let SOCK_DGRAM: Int32 = 2
public let F_FULLFSYNC: Int32 = 51
public let POSIX_SPAWN_SETSIGDEF: Int32 = 0x04
public let POSIX_SPAWN_SETSID: Int32 = 0x400

// Pointers there, structures here.
public typealias posix_spawnattr_t = UnsafeMutableRawPointer
public typealias posix_spawn_file_actions_t = UnsafeMutableRawPointer
public typealias Attributes = UnsafeMutablePointer<posix_spawnattr_t?>
public typealias Actions = UnsafeMutablePointer<posix_spawn_file_actions_t?>
public typealias Words = UnsafePointer<UnsafeMutablePointer<CChar>?>

@discardableResult public func posix_spawnattr_init(_: Attributes) -> Int32 { 0 }
@discardableResult public func posix_spawnattr_destroy(_: Attributes) -> Int32 { 0 }
@discardableResult public func posix_spawnattr_setflags(_: Attributes, _: Int16) -> Int32 { 0 }
@discardableResult public func posix_spawnattr_setsigdefault(
  _: Attributes, _: UnsafePointer<sigset_t>
) -> Int32 { 0 }
@discardableResult public func posix_spawn_file_actions_init(_: Actions) -> Int32 { 0 }
@discardableResult public func posix_spawn_file_actions_destroy(_: Actions) -> Int32 { 0 }
@discardableResult public func posix_spawn_file_actions_addopen(
  _: Actions, _: Int32, _: UnsafePointer<CChar>, _: Int32, _: mode_t
) -> Int32 { 0 }
@discardableResult public func posix_spawn_file_actions_adddup2(
  _: Actions, _: Int32, _: Int32
) -> Int32 { 0 }
@discardableResult public func posix_spawn(
  _: UnsafeMutablePointer<pid_t>, _: UnsafePointer<CChar>, _: UnsafePointer<posix_spawn_file_actions_t?>?,
  _: UnsafePointer<posix_spawnattr_t?>?, _: Words, _: Words?
) -> Int32 { 0 }
@discardableResult public func posix_spawnp(
  _: UnsafeMutablePointer<pid_t>, _: UnsafePointer<CChar>, _: UnsafePointer<posix_spawn_file_actions_t?>?,
  _: UnsafePointer<posix_spawnattr_t?>?, _: Words, _: Words?
) -> Int32 { 0 }

public typealias pthread_t = UnsafeMutableRawPointer
public func pthread_self() -> pthread_t { UnsafeMutableRawPointer(bitPattern: 1)! }
@discardableResult public func pthread_create(
  _: UnsafeMutablePointer<pthread_t?>, _: UnsafePointer<pthread_attr_t>?,
  _: @convention(c) (UnsafeMutableRawPointer) -> UnsafeMutableRawPointer?, _: UnsafeMutableRawPointer?
) -> Int32 { 0 }
@discardableResult public func pthread_join(
  _: pthread_t, _: UnsafeMutablePointer<UnsafeMutableRawPointer?>?
) -> Int32 { 0 }
@discardableResult public func pthread_detach(_: pthread_t) -> Int32 { 0 }
@discardableResult public func pthread_setname_np(_: UnsafePointer<CChar>) -> Int32 { 0 }
