import Bytes
import FileSystem
import JSON

/// `proxy/cluster` below a data directory: the peer URLs that a v2 proxy asks at its next start, whatever the flags
/// say then. Calls block.
///
/// - Source: etcd `etcdmain.startProxy`.
struct ClusterFile: Sendable {
  let path: String
  private let disk: any FileSystem

  private static let bytesMax = 1 << 20

  init(_ directory: String, _ disk: any FileSystem = RealFileSystem()) {
    path = "\(directory)/cluster"
    self.disk = disk
  }

  /// Why a file cannot be used.
  struct Failure: Error, CustomStringConvertible {
    let description: String
  }

  /// - Returns: `nil` when there is no file.
  /// - Throws: what is wrong with it.
  func read() throws -> [String]? {
    guard try disk.kind(path) != nil else { return nil }
    let value: JSONValue
    do { value = try JSONValue.parse(try disk.readFile(path, limit: Self.bytesMax)) } catch {
      throw Failure(
        description: "cannot read the cluster file \(path): \(error); remove it to begin anew")
    }
    return value["PeerURLs"]?.array?.compactMap(\.string) ?? []
  }

  static func contents(_ urls: [String]) -> Bytes {
    JSONValue.object(JSONObject([.init("PeerURLs", .array(urls.map { .string($0) }))]))
      .encoded(escapeHTML: true)
  }

  /// Replaces the file, at once or not at all.
  func write(_ urls: [String]) throws(FileError) {
    let file = try disk.open(path + ".bak", .create(permissions: 0o600))
    do {
      defer { file.close() }
      try file.truncate(to: 0)
      let contents = Self.contents(urls)
      try contents.withUnsafeBytes { memory throws(FileError) in try file.write(memory, at: 0) }
      try file.sync()
    }
    try disk.rename(path + ".bak", to: path)
  }
}
