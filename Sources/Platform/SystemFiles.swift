#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// Files that the kernel makes when they are read, such as those below /proc. They tell no length.
public enum SystemFiles {
  /// The file, or its beginning where it has more than about `bytesMax`; `nil` when it cannot be read.
  public static func bytes(of path: String, bytesMax: Int = 16 << 20) -> [UInt8]? {
    let file = Descriptor.openToRead(path)
    guard file >= 0 else { return nil }
    defer { Descriptor.close(file) }
    return rest(of: file, bytesMax: bytesMax)
  }

  /// The end of a file that may be longer, and whether that is all of it; `nil` when it cannot be read.
  public static func end(of path: String, bytesMax: Int) -> (bytes: [UInt8], isWhole: Bool)? {
    let file = Descriptor.openToRead(path)
    guard file >= 0 else { return nil }
    defer { Descriptor.close(file) }
    // checked: the size of a file is not negative, and a limit is one of ours
    let start = max(0, Descriptor.size(of: file) &- bytesMax)
    guard lseek(file, off_t(start), SEEK_SET) >= 0 else { return nil }
    return rest(of: file, bytesMax: bytesMax).map { ($0, start == 0) }
  }

  private static func rest(of file: Int32, bytesMax: Int) -> [UInt8]? {
    var found: [UInt8] = []
    return withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 16 << 10) { buffer in
      while found.count < bytesMax {
        let count = Descriptor.read(file, into: UnsafeMutableRawBufferPointer(buffer))
        guard count >= 0 else { return nil }
        if count == 0 { break }
        found += buffer[..<count]
      }
      return found
    }
  }

  /// The beginning of the file as text; `nil` when it cannot be read.
  public static func text(of path: String) -> String? {
    bytes(of: path, bytesMax: 256 << 10).map { String(decoding: $0, as: UTF8.self) }
  }

  /// Names in a folder, `.` and `..` among them; `nil` when there is none.
  public static func names(in folder: String) -> [String]? {
    guard let directory = opendir(folder) else { return nil }
    defer { closedir(directory) }
    var found: [String] = []
    while let entry = readdir(directory) {
      found.append(
        withUnsafePointer(to: &entry.pointee.d_name) {
          $0.withMemoryRebound(to: CChar.self, capacity: Int(NAME_MAX) + 1) { String(cString: $0) }
        })
    }
    return found
  }
}
