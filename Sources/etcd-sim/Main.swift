import Platform
import Simulation

/// `etcd-sim [--seed N] [--seeds COUNT] [--from N] [--verbose] [--mutant NAME]`: runs the cluster
/// simulation.
@main
enum Main {
  struct Arguments {
    var from: UInt64 = 1
    var count: UInt64 = 1
    var isVerbose = false
    var mutant: SimulationOptions.Mutant?
  }

  static func main() {
    guard let arguments = parse(Array(CommandLine.arguments.dropFirst())) else {
      print(
        "usage: etcd-sim [--seed N | --from N --seeds COUNT] [--verbose] [--mutant "
          + SimulationOptions.Mutant.allCases.map(\.rawValue).joined(separator: "|") + "]")
      Program.exit(2)
    }
    var total = SimulationCounters()
    var failed = 0
    for seed in arguments.from..<(arguments.from + arguments.count) {
      let options = SimulationOptions.varied(seed: seed, with: arguments.mutant)
      let cluster = Cluster(options, log: arguments.isVerbose ? { print($0) } : nil)
      cluster.run()
      total += cluster.counters
      defer { Program.flushOutput() }
      if arguments.count <= 20 {
        print("seed \(seed) digest \(String(cluster.digest, radix: 16))")
      }
      guard let first = cluster.problems.first else { continue }
      failed += 1
      print("FAILED \(options)\n  \(first)\n  repeat with: make sim SEED=\(seed)")
    }
    print("\(arguments.count) seeds, \(failed) failed: \(total)")
    if failed > 0 { Program.exit(1) }
  }

  /// - Returns: `nil` when the arguments are not understood.
  private static func parse(_ words: [String]) -> Arguments? {
    var arguments = Arguments()
    var rest = words[...]
    while let word = rest.popFirst() {
      if word == "--verbose" {
        arguments.isVerbose = true
        continue
      }
      guard let value = rest.popFirst() else { return nil }
      switch word {
      case "--seed", "--from":
        guard let number = UInt64(value) else { return nil }
        arguments.from = number
      case "--seeds":
        guard let number = UInt64(value), number > 0 else { return nil }
        arguments.count = number
      case "--mutant":
        guard let mutant = SimulationOptions.Mutant(rawValue: value) else { return nil }
        arguments.mutant = mutant
      default: return nil
      }
    }
    return arguments
  }
}
