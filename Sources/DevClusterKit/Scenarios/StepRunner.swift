import JSON

/// Carries out the steps of a scenario, by the control socket as the command line does.
struct StepRunner: Sendable {
  let control: OrderThread
  let recorder: HistoryRecorder
  let seed: UInt64
  /// Gets a line for each.
  let tell: @Sendable (String) -> Void

  /// How long a role may mean nobody, as between two leaders.
  private static let patience = Duration.seconds(5)
  private static let retryPause = Duration.milliseconds(50)

  func run(_ steps: [Scenario.Step]) async {
    await withTaskGroup(of: Void.self) { group in
      for (place, step) in steps.enumerated() {
        group.addTask {
          guard (try? await Task.sleep(until: recorder.instant(at: step.at))) != nil else { return }
          await perform(step, SplitMix(state: seed &+ UInt64(place) &+ 1))
        }
      }
    }
  }

  private func perform(_ step: Scenario.Step, _ random: SplitMix) async {
    var random = random
    let end = ContinuousClock.now + Self.patience
    while true {
      do throws(DevClusterError) {
        var request = try await step.request.choosing(among: control.candidates(), &random)
        if case .upgrade(let who, let given, let wait) = request {
          request = .upgrade(who, binary: try Versions.program(given), wait: wait)
        }
        let names = try await give(request, step)
        if let undoing = step.undoing(names), let length = step.length {
          try? await Task.sleep(until: recorder.instant(at: step.at &+ length))
          _ = try await give(undoing, nil)
        }
        return
      } catch {
        guard .now < end else { return refused(step, error) }
        try? await Task.sleep(for: Self.retryPause)
      }
    }
  }

  private func refused(_ step: Scenario.Step, _ error: DevClusterError) {
    let text = "'\(step.words)' could not be done: \(error.description)"
    let kind = step.mayFail ? "skipped" : HistoryEvent.refused
    recorder.record(.event(HistoryEvent(kind, at: recorder.now(), text)))
    tell("\(HistoryOperation.seconds(recorder.now())) s  \(text)")
  }

  /// Gives one order and writes it down.
  /// - Returns: whom it was about.
  private func give(
    _ request: ControlRequest, _ step: Scenario.Step?
  ) async throws(DevClusterError) -> [String] {
    let asked = recorder.now()
    let answer = try await control.ask(request)
    let names = (answer["members"]?.array ?? []).compactMap(\.string)
    let links = (answer["links"]?.array ?? []).compactMap(\.string)
    let words = step?.words ?? request.object["command"]?.string ?? ""
    let whom = links.isEmpty ? names : links
    var event = HistoryEvent(
      "order", at: asked, words + (whom.isEmpty ? "" : " (\(whom.joined(separator: " ")))"))
    event.answered = recorder.now()
    if case .fault(let order) = request {
      if case .cut = order.kind { event.cuts = links }
      // checked: an hour at most
      if let duration = order.duration { event.until = asked + Int(duration) }
    }
    if names.count == 1 { event.member = names[0] }
    recorder.record(.event(event))
    if case .heal = request {
      recorder.record(.event(HistoryEvent(HistoryEvent.heal, at: asked, words)))
    }
    tell("\(HistoryOperation.seconds(asked)) s  \(event.text)")
    return names
  }
}
