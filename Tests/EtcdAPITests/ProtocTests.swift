import Bytes
import EtcdAPI
import Foundation
import Protobuf
import Testing

/// Compares with protoc, an implementation of its own, where it is installed.
@Suite(.enabled(if: Protoc.path != nil), .serialized)
struct ProtocTests {
  /// protoc prints our bytes as text and encodes the text again: the same bytes must come out.
  @Test func everyTypeAgrees() throws {
    var random = Random.printed("everyTypeAgrees")
    let protoc = try Protoc()
    defer { protoc.remove() }
    for type in allMessages { try agrees(type, protoc, &random) }
  }

  private func agrees<M: ProtobufMessage>(
    _ type: M.Type, _ protoc: Protoc, _ random: inout Random
  ) throws {
    let maker = MessageMaker(type)
    guard maker.hasFields else { return }
    var message = maker.make(&random)
    while message == M() { message = maker.make(&random) }
    let ours = message.encoded()
    let text = try protoc.run("--decode=\(M.fullName)", ours)
    #expect(text.isEmpty == ours.isEmpty)
    let theirs = try protoc.run("--encode=\(M.fullName)", text)
    #expect(theirs == ours, "\(M.fullName): \(text)")
  }
}

/// Runs protoc over the descriptors of this package.
struct Protoc {
  static let path = ["/usr/bin/protoc", "/usr/local/bin/protoc"].first {
    FileManager.default.isExecutableFile(atPath: $0)
  }

  private let directory: URL
  private var descriptors: URL { directory.appendingPathComponent("set.desc") }

  init() throws {
    directory = FileManager.default.temporaryDirectory
      .appendingPathComponent("etcd-protoc-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
    let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .deletingLastPathComponent().deletingLastPathComponent().appendingPathComponent("proto")
    let files = FileManager.default.enumerator(atPath: root.path)?.compactMap { $0 as? String }
      .filter { $0.hasSuffix(".proto") }
    _ = try run(["-I", root.path, "-o", descriptors.path] + (files ?? []), Bytes())
  }

  func remove() { try? FileManager.default.removeItem(at: directory) }

  func run(_ mode: String, _ input: Bytes) throws -> Bytes {
    try run(["--descriptor_set_in=\(descriptors.path)", mode], input)
  }

  private func run(_ arguments: [String], _ input: Bytes) throws -> Bytes {
    let file = directory.appendingPathComponent("input")
    try Data(input).write(to: file)
    let process = Process()
    let output = Pipe()
    process.executableURL = URL(fileURLWithPath: try #require(Protoc.path))
    process.arguments = arguments
    process.standardInput = try FileHandle(forReadingFrom: file)
    process.standardOutput = output
    try process.run()
    let data = output.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    try #require(process.terminationStatus == 0, "protoc \(arguments.last ?? "")")
    return Bytes(data)
  }
}
