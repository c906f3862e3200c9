/// Whom a command is for: names, numbers and roles. Pure.
///
/// | word | who |
/// |---|---|
/// | `m1`, `1` | that member |
/// | `all` | every member |
/// | `leader`, `followers`, `learners` | by what they do now |
/// | `random` | one of them, by chance |
/// | `minority` | as many voters as may be missing, by chance |
/// | `majority` | as many voters as a quorum needs, by chance |
public enum Targets {
  /// What is known of a member.
  public struct Candidate: Sendable {
    public var name: String
    public var isLeader: Bool
    public var isLearner: Bool
    /// Whether its process runs: chance takes no other.
    public var isRunning: Bool

    public init(name: String, isLeader: Bool, isLearner: Bool, isRunning: Bool) {
      self.name = name
      self.isLeader = isLeader
      self.isLearner = isLearner
      self.isRunning = isRunning
    }
  }

  static let roles = [
    "all", "leader", "followers", "learners", "random", "minority", "majority",
  ]

  /// Finds members.
  /// - Parameters:
  ///   - words: one target each, or several between commas.
  ///   - pick: a number below its argument, by chance.
  /// - Returns: names in the order of `members`, each once.
  /// - Throws: `DevClusterError` for a word that means nobody.
  public static func resolve(
    _ words: [String], _ members: [Candidate], pick: (Int) -> Int
  ) throws(DevClusterError) -> [String] {
    var found: Set<String> = []
    for word in words.flatMap({ $0.split(separator: ",", omittingEmptySubsequences: false) }) {
      found.formUnion(try one(String(word), members, pick))
    }
    return members.map(\.name).filter(found.contains)
  }

  private static func one(
    _ word: String, _ members: [Candidate], _ pick: (Int) -> Int
  ) throws(DevClusterError) -> [String] {
    let voters = members.filter { !$0.isLearner }
    let quorum = voters.count / 2 + 1
    switch word {
    case "all": return members.map(\.name)
    case "leader":
      guard let leader = members.first(where: \.isLeader) else {
        throw DevClusterError("there is no leader now")
      }
      return [leader.name]
    case "followers", "follower":
      let names = voters.filter { !$0.isLeader }.map(\.name)
      guard !names.isEmpty else { throw DevClusterError("there are no followers") }
      return names
    case "learners", "learner":
      let names = members.filter(\.isLearner).map(\.name)
      guard !names.isEmpty else { throw DevClusterError("there are no learners") }
      return names
    case "random":
      let running = members.filter(\.isRunning)
      guard !running.isEmpty else { throw DevClusterError("no member runs") }
      return [running[pick(running.count)].name]
    case "minority":
      guard voters.count > 2 else {
        throw DevClusterError("none of \(voters.count) voters may be missing")
      }
      return chosen(voters.count - quorum, of: voters, pick)
    case "majority": return chosen(quorum, of: voters, pick)
    default:
      let name = Int(word).map { "m\($0)" } ?? word
      guard members.contains(where: { $0.name == name }) else {
        let names = members.map(\.name).joined(separator: ", ")
        throw DevClusterError("there is no member '\(word)' among \(names)" + hint(word))
      }
      return [name]
    }
  }

  private static func chosen(
    _ count: Int, of voters: [Candidate], _ pick: (Int) -> Int
  ) -> [String] {
    var left = voters.map(\.name)
    return (0..<count).map { _ in left.remove(at: pick(left.count)) }
  }

  private static func hint(_ word: String) -> String {
    guard word.count > 2,
      let role = roles.first(where: { $0.hasPrefix(word) || word.hasPrefix($0) })
    else { return "; roles are \(roles.joined(separator: ", "))" }
    return "; did you mean \(role)?"
  }
}
