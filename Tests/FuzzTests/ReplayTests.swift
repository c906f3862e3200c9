import Bytes
import Foundation
import FuzzTargets
import TestSupport
import Testing

/// What fuzzers found, and a little of what they do: changes of the corpus's inputs, from a seed that is printed.
/// `FUZZ_INPUTS` says how many a target, `FUZZ_SEED` which. A trap ends the process; the seed brings it back.
@Suite struct ReplayTests {
  private static let inputs = environment("FUZZ_INPUTS").flatMap { Int($0) } ?? 500
  private static let seed =
    environment("FUZZ_SEED").flatMap { UInt64($0) } ?? .random(in: 1 ... .max)

  private static func environment(_ name: String) -> String? {
    ProcessInfo.processInfo.environment[name]
  }

  /// Inputs that are kept for a target.
  private static func corpus(_ name: String) -> [Bytes] {
    let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .appendingPathComponent("Corpus").appendingPathComponent(name)
    let files = (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []
    return files.sorted().compactMap { file in
      (try? Data(contentsOf: folder.appendingPathComponent(file))).map { Bytes($0) }
    }
  }

  @Test(arguments: FuzzTarget.all.map(\.name)) func nothingTraps(_ name: String) throws {
    let target = try #require(FuzzTarget.named(name))
    print("\(name): FUZZ_SEED=\(Self.seed)")
    let known = target.seeds + Self.corpus(name)
    for input in known + [Bytes()] { target.run(input) }
    var changes = Changes(random: SeededGenerator(state: Self.seed), known: known)
    for _ in 0..<Self.inputs { target.run(changes.next()) }
  }

  @Test func namesAreUnique() {
    #expect(Set(FuzzTarget.all.map(\.name)).count == FuzzTarget.all.count)
    #expect(FuzzTarget.all.count >= 25)
  }

  /// A folder whose target is gone would be replayed by nobody.
  @Test func everyCorpusHasATarget() throws {
    let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .appendingPathComponent("Corpus")
    for name in try FileManager.default.contentsOfDirectory(atPath: folder.path) {
      #expect(FuzzTarget.named(name) != nil, "\(name)")
      #expect(!Self.corpus(name).isEmpty, "\(name)")
    }
  }
}

/// Changes of known inputs, as libFuzzer makes them, without what it learns from coverage. Pure.
private struct Changes {
  var random: SeededGenerator
  let known: [Bytes]

  private static let bytesMax = 4_096
  /// Bytes that are the edges of something.
  private static let edges: [UInt8] = [0, 1, 0x7f, 0x80, 0xff, 0x20, 0x0a, 0x22, 0x2e, 0x2f, 0x3a]

  mutating func next() -> Bytes {
    var bytes =
      known.isEmpty || one(of: 8) ? noise() : Array(known[below(known.count)].prefix(Self.bytesMax))
    for _ in 0...below(4) { change(&bytes) }
    return Bytes(bytes)
  }

  private mutating func change(_ bytes: inout [UInt8]) {
    guard !bytes.isEmpty else {
      bytes = noise()
      return
    }
    let at = below(bytes.count)
    switch below(7) {
    case 0: bytes[at] ^= 1 << UInt8(below(8))
    case 1: bytes[at] = Self.edges[below(Self.edges.count)]
    case 2: bytes.remove(at: at)
    case 3: bytes.insert(UInt8(below(256)), at: at)
    case 4: bytes.removeSubrange(at..<min(bytes.count, at + below(32)))
    case 5: bytes.insert(contentsOf: Array(bytes[at..<min(bytes.count, at + below(32))]), at: at)
    default:
      let edge = Array(repeating: Self.edges[below(Self.edges.count)], count: 8)
      bytes.replaceSubrange(at..<min(bytes.count, at + 8), with: edge)
    }
  }

  private mutating func noise() -> [UInt8] {
    (0..<below(64)).map { _ in UInt8(below(256)) }
  }

  private mutating func one(of count: Int) -> Bool { below(count) == 0 }
  private mutating func below(_ limit: Int) -> Int { Int.random(in: 0..<limit, using: &random) }
}
