import Checkers

/// Which members could not reach a majority, and when. Pure.
///
/// Only links that are cut both ways count, and only while they are for certain: from when the order was carried out
/// until it may have ended.
struct MemberCuts {
  /// A pair of members between which nothing passes.
  private struct Cut {
    let pair: Set<String>
    let from: Int
    let to: Int
  }
  private let members: [String]
  private let cuts: [Cut]

  /// Who votes changes with the members: of histories in which it does nothing is said.
  init(_ history: History) {
    members = history.header.members
    let changes = ["add", "remove", "promote"]
    let isChanged = history.events.contains { event in
      event.kind == "order"
        && changes.contains { event.text.split(separator: " ").first == $0[...] }
    }
    cuts = isChanged ? [] : Self.cuts(history)
  }

  private static func cuts(_ history: History) -> [Cut] {
    var found: [Cut] = []
    for event in history.events where !event.cuts.isEmpty {
      let healed = history.events.filter { $0.time > event.time && $0.kind == HistoryEvent.heal }
        .map(\.time).min()
      let end = min(event.until ?? .max, healed ?? .max)
      let directions = Set(event.cuts)
      for direction in event.cuts {
        let names = direction.split(separator: ">").map { String($0.filter { $0 != "-" }) }
        guard names.count == 2, names[0] < names[1],
          directions.contains("\(names[1])->\(names[0])")
        else { continue }
        found.append(Cut(pair: Set(names), from: event.answered ?? event.time, to: end))
      }
    }
    return found
  }

  /// Begins and ends of cuts.
  var moments: [Int] { cuts.flatMap { [$0.from, $0.to] } }

  /// How many members one could reach at most during a time, itself included; `nil` when they are a majority.
  func minority(of member: String, from: Int, to: Int) -> Int? {
    let active = cuts.filter { $0.from <= from && to <= $0.to }
    guard !active.isEmpty else { return nil }
    var reached: Set<String> = [member]
    var work = [member]
    while let one = work.popLast() {
      for other in members
      where !reached.contains(other) && !active.contains(where: { $0.pair == [one, other] }) {
        reached.insert(other)
        work.append(other)
      }
    }
    return reached.count < members.count / 2 + 1 ? reached.count : nil
  }
}

/// What members answered that could not reach a majority. Pure.
struct Isolation {
  let problems: [HistoryProblem]

  init(_ history: History) {
    let cuts = MemberCuts(history)
    let all = history.header.members.count
    problems = history.operations.enumerated().compactMap { position, operation in
      guard operation.isAcknowledged,
        let reached = cuts.minority(
          of: operation.member, from: operation.called, to: operation.ended)
      else { return nil }
      return HistoryProblem(
        "\(operation.member) was cut off with \(reached) of \(all) members and answered: \(operation)",
        [position])
    }
  }
}

/// How long nobody could lead: from when the leader ended, froze or could not reach a majority any more until a member
/// led, as far as the supervisor saw it, who looks every 0.1 s while there are faults. Pure.
struct Leaderless {
  /// The longest time, and when it began.
  private(set) var longest: (nanoseconds: Int, from: Int) = (0, 0)
  private let cuts: MemberCuts
  private var leader: String?
  private var lostAt: Int?

  init(_ history: History) {
    cuts = MemberCuts(history)
    let end = history.end?.loadEnded ?? history.events.map(\.time).max() ?? 0
    var moments = cuts.moments.filter { $0 <= end }.map { HistoryEvent("cut", at: $0, "") }
    moments += history.events.filter { $0.time <= end }
    for event in moments.sorted(by: { $0.time < $1.time }) { take(event) }
    found(end)
  }

  private mutating func take(_ event: HistoryEvent) {
    let isLeaders = event.member != nil && event.member == leader
    switch event.kind {
    case "leader":
      leader = event.member
      found(event.time)
    case "no-leader",
      "exit" where isLeaders, "pause" where isLeaders, "cut" where isCutOff(event.time):
      lostAt = lostAt ?? event.time
    case "resume" where isLeaders, "cut": found(event.time)
    default: break
    }
  }

  private func isCutOff(_ time: Int) -> Bool {
    // checked: times of a scenario's clock
    leader.map { cuts.minority(of: $0, from: time, to: time + 1) != nil } ?? false
  }

  /// Somebody leads, or the time is over.
  private mutating func found(_ time: Int) {
    guard let from = lostAt else { return }
    lostAt = nil
    if time - from > longest.nanoseconds { longest = (time - from, from) }  // checked: the same
  }
}
