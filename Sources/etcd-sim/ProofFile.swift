import Bytes
import FileSystem
import Simulation

/// The page of the proof on the disk.
enum ProofFile {
  struct NoProof: Error, CustomStringConvertible {
    let description: String
  }

  private static let bytesMax = 1 << 20

  /// - Returns: an empty record when there is no such file.
  static func read(_ path: String) throws -> ProofRecord {
    let disk = RealFileSystem()
    guard try disk.kind(path) != nil else { return ProofRecord() }
    guard let record = ProofRecord(page: try disk.readFile(path, limit: bytesMax).string) else {
      throw NoProof(description: "\(path) has no table with runs, failures, open and last-run")
    }
    return record
  }

  /// Replaces the file as a whole.
  static func write(_ record: ProofRecord, to path: String) throws {
    let disk = RealFileSystem()
    let temporary = path + ".new"
    if try disk.kind(temporary) != nil { try disk.remove(temporary) }
    let file = try disk.open(temporary, .createNew(permissions: 0o644))
    do {
      try Bytes(record.page).withUnsafeBytes { (memory) throws(FileError) in
        try file.write(memory, at: 0)
      }
      try file.sync()
    } catch {
      file.close()
      throw error
    }
    file.close()
    try disk.rename(temporary, to: path)
  }
}
