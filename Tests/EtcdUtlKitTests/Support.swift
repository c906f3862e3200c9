import Bolt
import Bytes
import CommandLineTool
import EtcdAPI
import EtcdUtlKit
import FileSystem
import Foundation
import MVCC
import MemberStorage
import Protobuf
import Synchronization
import TestSupport

extension Scratch {
  /// Everything below, sorted.
  var contents: [String] {
    (FileManager.default.enumerator(atPath: path)?.compactMap { $0 as? String } ?? []).sorted()
  }

  func write(_ bytes: some Sequence<UInt8>, to name: String) {
    try! Data(bytes).write(to: URL(fileURLWithPath: path + "/" + name))
  }

  func read(_ name: String) -> [UInt8] {
    [UInt8](FileManager.default.contents(atPath: path + "/" + name)!)
  }
}

/// What a run of `etcdutl` printed.
struct Ran: Equatable {
  var code: Int32
  var output: String
  var error: String
}

/// Runs a command line inside this process.
func etcdutl(_ words: [String]) -> Ran { etcdutl(RealFileSystem(), words) }

/// Runs a command line inside this process, on a file system.
func etcdutl(
  _ fileSystem: any FileSystem, _ words: [String], pause: @escaping @Sendable () -> Void = {}
) -> Ran {
  let world = EtcdUtl.World(
    fileSystem: fileSystem, now: { 1_700_000_000 }, pause: pause, random: { 0xabc },
    resolve: { _ in nil })
  let texts = SharedTexts()
  let console = Console(
    print: { text in texts.texts.withLock { $0.output += text } },
    printError: { text in texts.texts.withLock { $0.error += text } })
  let code = EtcdUtl.tool(world).run(words, console: console)
  return texts.texts.withLock { Ran(code: code, output: $0.output, error: $0.error) }
}

private final class SharedTexts: Sendable {
  let texts = Mutex((output: "", error: ""))
}

/// A snapshot as a server sends it: a database of `keys` puts, then its digest.
func makeSnapshot(in scratch: Scratch, name: String, keys: Int) throws {
  let path = scratch.path + "/building.db"
  let database = try BoltDatabase(RealFileSystem(), path: path)
  let rows = (0..<keys).map { number in
    let revision = Int64(number + 2)
    let pair = Mvccpb.KeyValue(
      key: Bytes("key\(number)"), createRevision: revision, modRevision: revision, version: 1,
      value: Bytes("value\(number)"))
    return BoltOperation(key: Revision(main: revision).encoded(), value: pair.encoded())
  }
  try database.commit([
    BoltChange(bucket: "cluster", operations: [.init(key: "clusterVersion", value: "3.5.0")]),
    BoltChange(bucket: "key", operations: rows, fillPercent: 0.9),
    BoltChange(bucket: "members", operations: [.init(key: "1f", value: "{\"id\":31}")]),
    BoltChange(bucket: "members_removed", operations: [.init(key: "2f", value: "removed")]),
    BoltChange(
      bucket: "meta",
      operations: [
        .init(key: "consistent_index", value: Bytes([0, 0, 0, 0, 0, 0, 0, 99])),
        .init(key: "term", value: Bytes([0, 0, 0, 0, 0, 0, 0, 7])),
      ]),
  ])
  let state = database.read()
  let bytes = state.snapshotBytes(at: 0, count: state.size)
  database.close()
  try FileManager.default.removeItem(atPath: path)
  scratch.write(Array(bytes) + Array(Digest.sha256(bytes)), to: name)
}

/// The machine's file system, whose change number `failingAt` fails; later ones work again.
final class FailingFileSystem: FileSystem {
  private let real = RealFileSystem()
  private let left: Mutex<Int>

  init(failingAt: Int) { left = Mutex(failingAt) }

  /// Whether the fault was met.
  var hasFailed: Bool { left.withLock { $0 < 0 } }

  func change(_ path: String) throws(FileError) {
    let fails = left.withLock { left in
      defer { left -= 1 }
      return left == 0
    }
    if fails {
      throw FileError(
        operation: "write", path: path, errno: FileError.noSpace, detail: "no space left")
    }
  }

  func open(_ path: String, _ mode: OpenMode) throws(FileError) -> any StorageFile {
    if case .read = mode {} else { try change(path) }
    return FailingFile(file: try real.open(path, mode), system: self)
  }
  func list(_ directory: String) throws(FileError) -> [String] { try real.list(directory) }
  func kind(_ path: String) throws(FileError) -> FileKind? { try real.kind(path) }
  func makeDirectory(_ path: String, permissions: UInt32) throws(FileError) {
    try change(path)
    try real.makeDirectory(path, permissions: permissions)
  }
  func rename(_ from: String, to: String) throws(FileError) {
    try change(from)
    try real.rename(from, to: to)
  }
  func remove(_ path: String) throws(FileError) { try real.remove(path) }
  func syncDirectory(_ path: String) throws(FileError) {
    try change(path)
    try real.syncDirectory(path)
  }
}

private final class FailingFile: StorageFile {
  private let file: any StorageFile
  private let system: FailingFileSystem
  var path: String { file.path }

  init(file: any StorageFile, system: FailingFileSystem) {
    self.file = file
    self.system = system
  }

  func size() throws(FileError) -> Int { try file.size() }
  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) throws(FileError) -> Int {
    try file.read(into: buffer, at: offset)
  }
  func write(_ memory: UnsafeRawBufferPointer, at offset: Int) throws(FileError) {
    try system.change(path)
    try file.write(memory, at: offset)
  }
  func truncate(to size: Int) throws(FileError) {
    try system.change(path)
    try file.truncate(to: size)
  }
  func allocate(to size: Int) throws(FileError) {
    try system.change(path)
    try file.allocate(to: size)
  }
  func syncData() throws(FileError) {
    try system.change(path)
    try file.syncData()
  }
  func sync() throws(FileError) {
    try system.change(path)
    try file.sync()
  }
  func tryLock() throws(FileError) -> Bool { try file.tryLock() }
  func tryLockShared() throws(FileError) -> Bool { try file.tryLockShared() }
  func map(length: Int) throws(FileError) -> any FileMapping { try file.map(length: length) }
  func close() { file.close() }
}
