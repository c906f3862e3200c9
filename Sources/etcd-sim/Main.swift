import Platform
import Simulation

/// `etcd-sim`, see `Arguments.usage`: runs the cluster simulation.
@main
enum Main {
  static func main() {
    guard let arguments = Arguments(CommandLine.arguments.dropFirst()) else {
      print(Arguments.usage)
      Program.exit(2)
    }
    if arguments.isWorker { return Workers.work(arguments) }
    do {
      let failed = try run(arguments)
      Program.flushOutput()
      Program.exit(failed > 0 ? 1 : 0)
    } catch {
      print("etcd-sim: \(error)")
      Program.exit(2)
    }
  }

  /// - Returns: seeds that failed.
  private static func run(_ arguments: Arguments) throws -> Int {
    var record = try arguments.proof.map(ProofFile.read)
    let from =
      arguments.from ?? record?[keyPath: arguments.tally].last.map { $0.upperBound + 1 } ?? 1
    // What failed last time comes first: it is open until it passes.
    for seed in record?[keyPath: arguments.tally].open.sorted() ?? [] {
      let result = SeedResult(arguments.options(seed))
      print("seed \(seed), which failed, \(result.problem == nil ? "passes" : "still fails")")
      record?[keyPath: arguments.tally].add(result)
    }
    var total = SimulationCounters()
    var (count, failed) = (0, 0)
    let take: (SeedResult) -> Void = { result in
      count += 1
      total += result.counters
      record?[keyPath: arguments.tally].add(result)
      if arguments.count ?? .max <= 20 {
        print("seed \(result.seed) digest \(String(result.digest, radix: 16))")
      }
      if let problem = result.problem {
        failed += 1
        print("FAILED \(problem)\n  repeat with: \(arguments.repetition(of: result.seed))")
      }
      Program.flushOutput()
      // A night may be cut short.
      if count % arguments.resultsBetweenSaves == 0 { save(&record, from, count, arguments) }
    }
    if arguments.isVerbose || arguments.jobs == 1 && arguments.minutes == nil {
      for seed in from..<(from + (arguments.count ?? 1)) {
        take(
          SeedResult(
            arguments.options(seed),
            log: arguments.isVerbose ? { print($0) } : nil))
      }
    } else {
      try Workers(arguments).run(from: from, take)
    }
    save(&record, from, count, arguments)
    print("\(count) \(arguments.days == nil ? "seeds" : "lives"), \(failed) failed: \(total)")
    return failed
  }

  private static func save(
    _ record: inout ProofRecord?, _ from: UInt64, _ count: Int, _ arguments: Arguments
  ) {
    guard let path = arguments.proof, count > 0 else { return }
    record?[keyPath: arguments.tally].finish(from...(from + UInt64(count) - 1))
    do { try record.map { try ProofFile.write($0, to: path) } } catch {
      print("etcd-sim: the proof is not written: \(error)")
    }
  }
}
