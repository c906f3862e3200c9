import GoText

/// A history on one axis of time, as SVG: rates, faults, members, clients. Pure.
struct HistoryChart {
  let history: History
  let verdict: Verdict
  /// Names of the lanes, and where they begin.
  private static let labelWidth = 110
  private static let laneHeight = 16
  private static let rateHeight = 60
  /// Nanoseconds of one bar of the rates.
  private static let rateStep = 100_000_000
  /// Operations up to which each has a mark of its own; of longer histories what was answered is one shape a lane.
  private static let marksMax = 5000
  private static let widthMax = 30_000

  private let end: Int
  /// Pixels a second.
  private let scale: Double

  init(history: History, verdict: Verdict) {
    self.history = history
    self.verdict = verdict
    end = max(1, history.end?.time ?? 0, history.operations.map(\.ended).max() ?? 0)
    scale = min(100, Double(Self.widthMax) / (Double(end) / 1_000_000_000))
  }

  private func x(_ time: Int) -> Double {
    Double(Self.labelWidth) + Double(time) / 1_000_000_000 * scale
  }

  var text: String {
    var lanes = Lanes(top: 20)
    var parts: [String] = []
    parts.append(rates(&lanes))
    parts += faults(&lanes)
    parts += memberLanes(&lanes)
    parts += clientLanes(&lanes)
    parts += watcherLanes(&lanes)
    let width = Int(x(end)) + 20  // checked: bounded by `widthMax`
    let height = lanes.next + 6  // checked: some lanes for each client
    return """
      <svg xmlns="http://www.w3.org/2000/svg" width="\(width)" height="\(height)" role="img" \
      aria-label="operations, faults and members over time">
      \(grid(height))\(part(height))\(changes(height))
      \(parts.joined(separator: "\n"))
      </svg>
      """
  }

  /// Where lanes are, from the top.
  private struct Lanes {
    var next: Int
    init(top: Int) { next = top }

    mutating func take(_ height: Int = HistoryChart.laneHeight) -> Int {
      defer { next += height }  // checked: a few thousand at most
      return next
    }
  }

  // MARK: behind all

  private func grid(_ height: Int) -> String {
    let seconds = end / 1_000_000_000
    let step = max(1, Int((60 / scale).rounded(.up)))
    return stride(from: 0, through: seconds, by: step).map { second in
      let at = Self.number(x(second * 1_000_000_000))
      return "<line class=\"grid\" x1=\"\(at)\" x2=\"\(at)\" y1=\"14\" y2=\"\(height)\"/>"
        + "<text x=\"\(at)\" y=\"11\">\(second) s</text>"
    }.joined()
  }

  /// The operations that show the first violation.
  private func part(_ height: Int) -> String {
    guard let places = verdict.problems.first(where: { !$0.operations.isEmpty })?.operations,
      let from = places.map({ history.operations[$0].called }).min(),
      let to = places.map({ history.operations[$0].ended }).max()
    else { return "" }
    return rectangle("part", from, to, 14, height - 14, title: "what shows the violation", extra: 6)
  }

  private func changes(_ height: Int) -> String {
    history.events.filter { $0.kind == "leader" }.map { event in
      let at = Self.number(x(event.time))
      return "<line class=\"change\" x1=\"\(at)\" x2=\"\(at)\" y1=\"14\" y2=\"\(height)\">"
        + "<title>\(GoHTML.escaped(event.text))</title></line>"
    }.joined()
  }

  // MARK: lanes

  /// Answers a second, and what was not answered.
  private func rates(_ lanes: inout Lanes) -> String {
    let top = lanes.take(Self.rateHeight + 8)
    var counts: [Int: (done: Int, other: Int)] = [:]
    for operation in history.operations {
      let slot = operation.ended / Self.rateStep  // checked: by a constant
      if operation.isAcknowledged {
        counts[slot, default: (0, 0)].done += 1  // checked: counts operations
      } else {
        counts[slot, default: (0, 0)].other += 1  // checked: the same
      }
    }
    let most = counts.values.map { $0.done + $0.other }.max() ?? 1
    var text = label("requests/s, \(most * 1_000_000_000 / Self.rateStep) at most", top + 10)
    for (slot, count) in counts.sorted(by: { $0.key < $1.key }) {
      let from = slot * Self.rateStep
      let height = count.done * Self.rateHeight / most  // checked: at least one is counted
      let other = (count.other * Self.rateHeight + most - 1) / most  // checked: the same
      let bottom = top + Self.rateHeight
      text += rectangle(
        "done", from, from + Self.rateStep, bottom - height, height,
        title: "\(count.done) answered, \(count.other) not")
      if other > 0 {
        text += rectangle(
          "unknown", from, from + Self.rateStep, bottom - height - other, other,
          title: "\(count.other) not answered")
      }
    }
    return text
  }

  /// Orders one below the other where they overlap.
  private func faults(_ lanes: inout Lanes) -> [String] {
    var ends: [Int] = []
    var tops: [Int] = []
    var parts: [String] = []
    for event in history.events.sorted(by: { $0.time < $1.time })
    where ["order", HistoryEvent.refused, "skipped"].contains(event.kind) {
      let end = max(event.until ?? 0, event.answered ?? event.time)
      let lane = ends.firstIndex { $0 <= event.time } ?? ends.count
      if lane == ends.count {
        ends.append(0)
        tops.append(lanes.take())
        if lane == 0 { parts.append(label("faults", tops[0] + 12)) }  // checked: just made
      }
      // Room for its words.
      ends[lane] = max(end, event.time + Int(Double(event.text.count * 6) / scale * 1_000_000_000))
      let top = tops[lane]  // checked: one for each
      parts.append(
        rectangle(
          event.kind == "order" ? "fault" : "failed", event.time, end, top + 11, 4,
          title: event.text, extra: 2)
          + "<text x=\"\(Self.number(x(event.time)))\" y=\"\(top + 9)\">"
          + "\(GoHTML.escaped(event.text))</text>")
    }
    return parts
  }

  private func memberLanes(_ lanes: inout Lanes) -> [String] {
    let names = Set(history.header.members + history.events.compactMap(\.member)).sorted()
    return names.map { name in
      let top = lanes.take()
      var text = label(name, top + 12)
      for period in periods(of: name) {
        text += rectangle(
          period.kind, period.from, period.to, top + 3, 10,
          title: "\(name) \(period.text)")
      }
      return text
    }
  }

  private typealias Period = (kind: String, from: Int, to: Int, text: String)

  /// When a member led, did not run, or was frozen.
  private func periods(of name: String) -> [Period] {
    var found: [Period] = []
    var open: [String: Int] = [:]
    func close(_ kind: String, _ time: Int, _ text: String) {
      if let from = open.removeValue(forKey: kind) { found.append((kind, from, time, text)) }
    }
    for event in history.events.sorted(by: { $0.time < $1.time }) {
      switch (event.kind, event.member == name) {
      case ("leader", true): if open["leads"] == nil { open["leads"] = event.time }
      case ("leader", false), ("no-leader", _): close("leads", event.time, "leads")
      case ("exit", true):
        close("leads", event.time, "leads")
        open["down"] = open["down"] ?? event.time
      case ("ready", true), ("spawn", true): close("down", event.time, "does not run")
      case ("pause", true): open["frozen"] = event.time
      case ("resume", true): close("frozen", event.time, "is frozen")
      default: continue
      }
    }
    close("leads", end, "leads")
    close("down", end, "does not run")
    close("frozen", end, "is frozen")
    return found
  }

  private func clientLanes(_ lanes: inout Lanes) -> [String] {
    let wrong = Set(verdict.problems.flatMap(\.operations))
    let isLong = history.operations.count > Self.marksMax
    let byClient = Dictionary(grouping: history.operations.indices) {
      history.operations[$0].client
    }
    return byClient.sorted { $0.key < $1.key }.map { client, places in
      let top = lanes.take()
      let member = places.first.map { history.operations[$0].member } ?? ""
      var text = label("client \(client), \(member)", top + 12)
      var shape = ""
      for place in places {
        let operation = history.operations[place]
        let kind = wrong.contains(place) ? "wrong" : operation.mark
        if isLong && kind == "done" {
          let width = max(1, x(operation.ended) - x(operation.called))
          shape +=
            "M\(Self.number(x(operation.called))) \(top + 4)h\(Self.number(width))v8h-\(Self.number(width))z"
        } else {
          text += rectangle(
            kind, operation.called, operation.ended, top + 3, 10, title: operation.description,
            extra: 1, id: wrong.contains(place) ? place : nil)
        }
      }
      return text + (shape.isEmpty ? "" : "<path class=\"done\" d=\"\(shape)\"/>")
    }
  }

  /// What watchers were told, and when.
  private func watcherLanes(_ lanes: inout Lanes) -> [String] {
    Dictionary(grouping: history.watches) { $0.client }.sorted { $0.key < $1.key }.map {
      client, records in
      let top = lanes.take()
      var text = label("client \(client) watches", top + 12)
      for record in records.prefix(Self.marksMax) where !record.changes.isEmpty {
        let changes = record.changes.map(\.text).joined(separator: ", ")
        text += rectangle(
          "done", record.time, record.time, top + 3, 10,
          title: "told at \(HistoryOperation.seconds(record.time)) s: \(changes)", extra: 1)
      }
      return text
    }
  }

  // MARK: marks

  private func label(_ text: String, _ y: Int) -> String {
    "<text x=\"4\" y=\"\(y)\">\(GoHTML.escaped(text))</text>"
  }

  /// - Parameter extra: pixels that it is wider than its time.
  private func rectangle(
    _ kind: String, _ from: Int, _ to: Int, _ top: Int, _ height: Int, title: String,
    extra: Double = 0, id: Int? = nil
  ) -> String {
    let width = max(0.5, x(to) - x(from) + extra)
    return "<rect class=\"\(kind)\"" + (id.map { " id=\"o\($0)\"" } ?? "")
      + " x=\"\(Self.number(x(from)))\" y=\"\(top)\" width=\"\(Self.number(width))\" height=\"\(height)\">"
      + "<title>\(GoHTML.escaped(title))</title></rect>"
  }

  /// With one digit behind the point.
  private static func number(_ value: Double) -> String {
    let tenths = Int((value * 10).rounded())
    return tenths % 10 == 0 ? String(tenths / 10) : "\(tenths / 10).\(abs(tenths % 10))"
  }
}

extension HistoryOperation {
  /// How it is shown.
  fileprivate var mark: String {
    switch outcome {
    case .failed: "failed"
    case .unknown: "unknown"
    default: "done"
    }
  }
}
