import Foundation

/// Where the data-driven scripts are: the folder or file named by `RAFT_TESTDATA`, else
/// `../shared/raft-testdata` beside the package, when it exists.
enum ScriptFiles {
  static let setting = ProcessInfo.processInfo.environment["RAFT_TESTDATA"] ?? ""

  static let root: String? = {
    if !setting.isEmpty { return setting }
    let package = URL(fileURLWithPath: #filePath)
      .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
    let path = package.appendingPathComponent("../shared/raft-testdata").standardized.path
    return FileManager.default.fileExists(atPath: path) ? path : nil
  }()

  /// Paths of all scripts, in order.
  static let all: [String] = {
    guard let root else { return [] }
    var isFolder: ObjCBool = false
    guard FileManager.default.fileExists(atPath: root, isDirectory: &isFolder) else { return [] }
    guard isFolder.boolValue else { return [root] }
    let found = FileManager.default.enumerator(atPath: root)?.compactMap { $0 as? String } ?? []
    return found.filter(isScript).map { root + "/" + $0 }.filter(hasBlocks).sorted()
  }()

  private static func isScript(_ path: String) -> Bool {
    let url = URL(fileURLWithPath: path)
    let name = url.lastPathComponent
    if name.hasPrefix(".") || name.hasSuffix("~") || name.hasPrefix("#") { return false }
    return url.pathExtension == "txt" || url.pathExtension.isEmpty
  }

  private static func hasBlocks(_ path: String) -> Bool {
    guard let text = try? read(path) else { return false }  // A folder, or not text.
    return text.hasPrefix("----\n") || text.contains("\n----\n")
  }

  static func read(_ path: String) throws -> String {
    try String(contentsOfFile: path, encoding: .utf8)
  }
}
