import GoText
import Platform

/// Names of a rotated log: `folder/etcd.log` and `folder/etcd-2006-01-02T15-04-05.000.log`.
struct LogFileNames: Sendable {
  /// A file that was put aside.
  struct Backup {
    let path: String
    /// Its time, as in the name: sorts as time does.
    let stamp: String
    let isCompressed: Bool
  }

  private static let shape = Array("2006-01-02T15-04-05.000".utf8)
  private static let compressedExtension = ".gz"

  private let folder: String
  private let prefix: String
  private let suffix: String
  private let localTime: Bool

  init(path: String, localTime: Bool) {
    let slash = path.lastIndex(of: "/")
    folder = slash.map { String(path[...$0]) } ?? ""
    let name = slash.map { path[path.index(after: $0)...] } ?? path[...]
    let dot = name.lastIndex(of: ".")
    prefix = String(name[..<(dot ?? name.endIndex)]) + "-"
    suffix = dot.map { String(name[$0...]) } ?? ""
    self.localTime = localTime
  }

  /// Name for a file put aside at a time since 1970.
  func backup(milliseconds: Int64) -> String {
    folder + prefix + stamp(milliseconds: milliseconds) + suffix
  }

  /// `2006-01-02T15-04-05.000` of a time since 1970.
  func stamp(milliseconds: Int64) -> String {
    let seconds = Int(milliseconds / 1000)
    let offset = localTime ? WallClock.zoneOffset(at: seconds) : 0
    let time = CivilTime(secondsSinceEpoch: seconds + offset)
    let fraction = String(milliseconds % 1000 + 1000).dropFirst()
    return time.rfc3339().dropLast().map { $0 == ":" ? "-" : String($0) }.joined() + ".\(fraction)"
  }

  /// The files put aside, newest first.
  func backups() -> [Backup] {
    let names = SystemFiles.names(in: folder.isEmpty ? "." : folder) ?? []
    return names.compactMap { backup(named: $0) }.sorted {
      ($0.stamp, $0.path) > ($1.stamp, $1.path)
    }
  }

  private func backup(named name: String) -> Backup? {
    guard name.hasPrefix(prefix) else { return nil }
    var rest = name.dropFirst(prefix.count)
    let isCompressed = rest.hasSuffix(suffix + Self.compressedExtension)
    if isCompressed { rest = rest.dropLast(Self.compressedExtension.count) }
    guard rest.hasSuffix(suffix) else { return nil }
    let stamp = String(rest.dropLast(suffix.count))
    guard stamp.utf8.count == Self.shape.count,
      zip(stamp.utf8, Self.shape).allSatisfy({ Self.isDigit($1) ? Self.isDigit($0) : $0 == $1 })
    else { return nil }
    return Backup(path: folder + name, stamp: stamp, isCompressed: isCompressed)
  }

  private static func isDigit(_ byte: UInt8) -> Bool { (0x30...0x39).contains(byte) }

  /// Makes the folders that a path needs, as far as they are missing.
  static func makeFolders(above path: String) {
    var folder = ""
    for part in path.split(separator: "/", omittingEmptySubsequences: false).dropLast() {
      folder += part + "/"
      if folder != "/" { Paths.makeDirectory(folder, permissions: 0o755) }
    }
  }
}
