import Platform
import Simulation

/// What the command line asks for.
struct Arguments {
  /// The first seed; by default the one behind the last of the proof, or 1.
  var from: UInt64?
  /// Seeds to run; `nil`: as many as the time allows.
  var count: UInt64?
  var minutes: UInt64?
  var jobs = Machine.processors
  var proof: String?
  var isVerbose = false
  var mutant: SimulationOptions.Mutant?
  /// Days of the lives that are run instead of seeds; `nil` = seeds.
  var days: UInt64?
  /// Whether seeds come on standard input, from a process like this one.
  var isWorker = false

  /// A quarter of a year.
  private static let usualDays: UInt64 = 91

  static var usage: String {
    "usage: etcd-sim [--seed N | --life N | --from N] [--seeds COUNT | --lives COUNT] [--days D] [--minutes M] "
      + "[--jobs N] [--proof FILE] [--verbose] [--mutant "
      + SimulationOptions.Mutant.allCases.map(\.rawValue).joined(separator: "|") + "]"
  }

  /// - Returns: `nil` when the words are not understood.
  init?(_ words: ArraySlice<String>) {
    var rest = words
    while let word = rest.popFirst() {
      switch word {
      case "--verbose": isVerbose = true
      case "--worker": isWorker = true
      default:
        guard let value = rest.popFirst(), take(word, value) else { return nil }
      }
    }
    if minutes == nil, count == nil { count = 1 }
    if days != nil, mutant != nil { return nil }
  }

  /// Where the page counts what is run.
  var tally: WritableKeyPath<ProofRecord, ProofTally> { days == nil ? \.seeds : \.lives }

  /// What the proof is written after: lives take a minute each.
  var resultsBetweenSaves: Int { days == nil ? 1_000 : 2 }

  /// The command that repeats a run.
  func repetition(of seed: UInt64) -> String {
    days.map { "make lives FROM=\(seed) LIVES=1 DAYS=\($0)" } ?? "make sim SEED=\(seed)"
  }

  /// What a seed, or a life, of a number is.
  func options(_ seed: UInt64) -> SimulationOptions {
    if let days { return .life(seed: seed, days: Int(days)) }
    return .varied(seed: seed, with: mutant)
  }

  private mutating func take(_ word: String, _ value: String) -> Bool {
    switch word {
    case "--mutant":
      mutant = SimulationOptions.Mutant(rawValue: value)
      return mutant != nil
    case "--proof":
      proof = value
      return !value.isEmpty
    default: break
    }
    // So few that a seed behind the last is still a number.
    guard let number = UInt64(value), number < 1 << 62 else { return false }
    switch word {
    case "--seed": (from, count) = (number, 1)
    case "--life": (from, count, days) = (number, 1, days ?? Self.usualDays)
    case "--lives" where number > 0: (count, days) = (number, days ?? Self.usualDays)
    case "--days" where number > 0 && number < 1 << 16: days = number
    case "--from": from = number
    case "--seeds" where number > 0: count = number
    case "--minutes" where number > 0 && number < 1 << 20: minutes = number
    case "--jobs" where number > 0 && number <= 1_024: jobs = Int(number)
    default: return false
    }
    return true
  }
}
