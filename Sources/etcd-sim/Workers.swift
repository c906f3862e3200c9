import Bytes
import Platform
import Simulation

/// Runs seeds in processes like this one, as many as there are processors, so that a trap ends one of them and is told
/// with its seed.
///
/// All read seeds from one pipe, as numbers of eight bytes, and write lines to another: both come through whole, as every
/// piece is shorter than what a pipe takes at once.
struct Workers {
  private static let ahead = 2

  private let jobs: Int
  private let words: [String]
  private let count: UInt64
  private let deadline: UInt64

  struct NoWorkers: Error, CustomStringConvertible {
    let description: String
  }

  init(_ arguments: Arguments) {
    jobs = arguments.jobs
    words =
      [CommandLine.arguments[0], "--worker"]
      + (arguments.mutant.map { ["--mutant", $0.rawValue] } ?? [])
      + (arguments.days.map { ["--days", "\($0)"] } ?? [])
    count = arguments.count ?? .max
    deadline =
      arguments.minutes.map { monotonicNanoseconds() + $0 * 60_000_000_000 } ?? .max
  }

  /// - Parameter take: gets results in the order of seeds.
  /// - Throws: when no process can be started.
  func run(from first: UInt64, _ take: (SeedResult) -> Void) throws {
    var results = InOrder(next: first)
    var next = first
    let end = count == .max ? UInt64.max : first + count
    while next < end, monotonicNanoseconds() < deadline || next == first {
      let begun = next
      try runOnce(&next, end, &results, take)
      // Who ended without an answer had a seed in hand.
      for seed in begun..<next where !results.has(seed) {
        results.add(
          SeedResult(
            seed: seed, digest: 0, counters: SimulationCounters(),
            problem: "seed \(seed)\n  the process ended: a trap, or it was killed"))
      }
      results.drain(take)
    }
  }

  /// Until all processes have ended.
  private func runOnce(
    _ next: inout UInt64, _ end: UInt64, _ results: inout InOrder, _ take: (SeedResult) -> Void
  ) throws {
    guard let seeds = Descriptor.pipe(), let lines = Descriptor.pipe() else {
      throw NoWorkers(description: "a pipe cannot be made: \(SystemError.last)")
    }
    var children: [Int32] = []
    for _ in 0..<jobs {
      children.append(
        try Program.start(words, reading: seeds.reading, writing: lines.writing))
    }
    Descriptor.close(seeds.reading)
    Descriptor.close(lines.writing)
    var isOpen = true
    func hand(_ next: inout UInt64) {
      guard isOpen, next < end, monotonicNanoseconds() < deadline,
        Descriptor.write(bytes(next), to: seeds.writing)
      else {
        if isOpen { Descriptor.close(seeds.writing) }
        isOpen = false
        return
      }
      next += 1
    }
    for _ in 0..<(Self.ahead * jobs) { hand(&next) }
    var buffer = [UInt8](repeating: 0, count: 1 << 16)
    var rest: [UInt8] = []
    while true {
      let count = Descriptor.read(lines.reading, into: &buffer)
      guard count > 0 else { break }
      rest += buffer[..<count]
      while let newline = rest.firstIndex(of: UInt8(ascii: "\n")) {
        let line = String(decoding: rest[..<newline], as: UTF8.self)
        rest.removeSubrange(...newline)
        if let result = SeedResult(line: line) { results.add(result) }
        results.drain(take)
        hand(&next)
      }
    }
    if isOpen { Descriptor.close(seeds.writing) }
    Descriptor.close(lines.reading)
    for child in children { _ = try Program.wait(for: child) }
  }

  private func bytes(_ seed: UInt64) -> Bytes {
    var writer = ByteWriter(capacity: 8)
    writer.appendBigEndian(seed)
    return writer.finish()
  }

  /// The other side: runs seeds as they come.
  static func work(_ arguments: Arguments) {
    var buffer = [UInt8](repeating: 0, count: 8)
    while Descriptor.read(0, into: &buffer) == 8 {
      let seed = buffer.reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
      let result = SeedResult(arguments.options(seed))
      guard Descriptor.write(Bytes(result.line + "\n"), to: 1) else { return }
    }
  }
}

/// Results as they come, given on in the order of seeds.
private struct InOrder {
  var next: UInt64
  private var waiting: [UInt64: SeedResult] = [:]

  init(next: UInt64) { self.next = next }

  func has(_ seed: UInt64) -> Bool { seed < next || waiting[seed] != nil }

  mutating func add(_ result: SeedResult) { waiting[result.seed] = result }

  mutating func drain(_ take: (SeedResult) -> Void) {
    while let result = waiting.removeValue(forKey: next) {
      take(result)
      next += 1
    }
  }
}
