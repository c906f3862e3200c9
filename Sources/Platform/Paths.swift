#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// Names of files, for programs that do not go through `FileSystem`: nothing here is durable.
public enum Paths {
  /// Whether something stands there.
  public static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

  /// Whether a directory stands there.
  public static func isDirectory(_ path: String) -> Bool {
    var info = stat()
    return stat(path, &info) == 0 && info.st_mode & S_IFMT == S_IFDIR
  }

  /// Whether a program stands there that this process may run.
  public static func isProgram(_ path: String) -> Bool {
    access(path, X_OK) == 0 && !isDirectory(path)
  }

  /// A number that differs between files that exist at the same time; `nil` when there is none.
  public static func inode(_ path: String) -> UInt64? {
    var info = stat()
    return stat(path, &info) == 0 ? UInt64(info.st_ino) : nil
  }

  /// Makes one directory; nothing happens when that is impossible.
  public static func makeDirectory(_ path: String, permissions: UInt32) {
    mkdir(path, mode_t(permissions))
  }

  /// Renames a file, replacing what stands at `to`.
  /// - Throws: the system's reason.
  public static func rename(_ from: String, to: String) throws(SystemError) {
    #if canImport(Glibc)
      guard Glibc.rename(from, to) == 0 else { throw .last }
    #else
      guard Darwin.rename(from, to) == 0 else { throw .last }
    #endif
  }

  /// Removes a file, if it is there.
  public static func remove(_ path: String) { unlink(path) }

  /// The working directory; `nil` when it cannot be read.
  public static var working: String? {
    var buffer = [CChar](repeating: 0, count: 4096)
    guard getcwd(&buffer, buffer.count) != nil else { return nil }
    return String(decoding: buffer.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
  }

  /// Makes a directory the working one.
  /// - Returns: whether that was possible.
  public static func enter(_ path: String) -> Bool { chdir(path) == 0 }

  /// Makes a directory that nobody else can look into, for files of this user alone.
  /// - Returns: whether it is there, a directory and no link, of this user, and closed to others.
  public static func makePrivateDirectory(_ path: String) -> Bool {
    mkdir(path, 0o700)
    var info = stat()
    return lstat(path, &info) == 0 && info.st_mode & S_IFMT == S_IFDIR
      && info.st_uid == geteuid() && info.st_mode & 0o077 == 0
  }

  /// Who owns what stands there, by name where it has one; `nil` when nothing does, or nobody may know.
  public static func owner(_ path: String) -> String? {
    var info = stat()
    guard stat(path, &info) == 0 else { return nil }
    guard let entry = getpwuid(info.st_uid) else { return "user \(info.st_uid)" }
    return String(cString: entry.pointee.pw_name)
  }

  /// Whether this process may use what stands there in every way.
  public static func isAccessible(_ path: String) -> Bool { access(path, R_OK | W_OK) == 0 }
}
