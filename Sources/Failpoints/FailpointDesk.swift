#if FAILPOINTS
  import Platform
  import Synchronization

  /// Which failpoints are on, and how often each was hit while it was. Any thread.
  public final class FailpointDesk: Sendable {
    public static let shared = FailpointDesk()

    private struct Armed {
      var terms: FailpointTerms
      var hits = 0
    }
    private let armed = Mutex<[Failpoint: Armed]>([:])

    private init() {}

    /// - Parameter terms: `nil` switches it off.
    public func set(_ point: Failpoint, _ terms: FailpointTerms?) {
      armed.withLock { $0[point] = terms.map { Armed(terms: $0) } }
    }

    /// Sets several: `NAME=TERMS;NAME=TERMS`.
    /// - Returns: whether all were understood; those before the first that was not are set.
    public func set(_ text: String) -> Bool {
      for part in text.split(separator: ";") {
        guard let equals = part.firstIndex(of: "="),
          let point = Failpoint(rawValue: String(part[..<equals])),
          let terms = FailpointTerms(String(part[part.index(after: equals)...]))
        else { return false }
        set(point, terms)
      }
      return true
    }

    /// The terms of those that are on, and how often they were hit.
    public var all: [Failpoint: (terms: FailpointTerms, hits: Int)] {
      armed.withLock { $0.mapValues { ($0.terms, $0.hits) } }
    }

    /// Ends the process, waits, or tells the place to fail, as it was set.
    /// - Returns: what the place has to do itself.
    func hit(_ point: Failpoint) -> FailpointTerms.Action? {
      let action = armed.withLock { armed -> FailpointTerms.Action? in
        guard armed[point] != nil else { return nil }
        armed[point]?.hits += 1
        return armed[point]?.terms.next(chance: Int.random(in: 0..<1_000))
      }
      switch action {
      case .panic(let text):
        say("panic: failpoint \(point.rawValue): \(text)\n")
        // As Go's panic.
        Program.exitAtOnce(2)
      case .sleep(let milliseconds):
        Program.sleep(milliseconds: UInt32(clamping: milliseconds))
      case .print(let text): say("failpoint print: \(text)\n")
      case .off, .giveBack, nil: break
      }
      return action
    }

    private func say(_ text: String) {
      StandardStreams.write(text, to: StandardStreams.error)
    }
  }
#endif
