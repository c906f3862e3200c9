import Bytes
import EventLoops
import HTTP
import JSON
import Platform

/// Tells open pages what happens. While none is open there is no timer, and members are asked for no metrics.
/// Confined to its loop.
final class PageFeed {
  static let streamsMax = 8
  private static let tick: Duration = .milliseconds(100)
  /// A status and a sample each so many ticks; the sample that much after the question for it.
  private static let ticksOfStatus = 10
  private static let ticksOfAnswer = 3
  private static let metricsTimeout: Duration = .seconds(2)
  private static let eventBytesMax = 64 << 10
  private static let eventsShown = 200
  private static let linesShown = 200

  private let source: PageSource
  private var streams: [ObjectIdentifier: PageStream] = [:]
  private var timer: LoopTimer?
  private var ticks = 0
  private var isStatusDue = false
  private var isScenarioDue = false
  private var meter = SampleMeter()
  /// Members that have not answered the last question for metrics.
  private var asked: Set<String> = []

  init(_ source: PageSource) {
    self.source = source
    source.scenarios.onChange = { [weak self] in self?.isScenarioDue = true }
  }

  func close() {
    for stream in streams.values { end(stream) }
  }

  /// Pages that are open.
  var count: Int { streams.count }

  /// Opens a stream; `false` when there are enough.
  func open(_ wanted: PageSubscription, _ exchange: HTTPExchange) -> Bool {
    guard streams.count < Self.streamsMax else { return false }
    let stream = PageStream(wanted, exchange, source)
    streams[ObjectIdentifier(stream)] = stream
    exchange.onDisconnect = { [weak self, weak stream] in
      if let stream { self?.end(stream) }
    }
    greet(stream)
    if timer == nil {
      ticks = 0
      meter = SampleMeter()
      timer = source.loop.schedule(after: .zero, repeating: Self.tick) { [weak self] in
        self?.turn()
      }
    }
    return true
  }

  private func end(_ stream: PageStream) {
    guard streams.removeValue(forKey: ObjectIdentifier(stream)) != nil else { return }
    stream.end()
    guard streams.isEmpty else { return }
    timer?.cancel()
    timer = nil
    meter = SampleMeter()
    asked = []
  }

  /// What a new page wants to know first.
  private func greet(_ stream: PageStream) {
    stream.queue.set(
      .hello,
      [
        "directory": .string(source.directory.path), "export": .string(source.export()),
        "version": .string(DevCluster.version), "time": .integer(WallClock.nanoseconds / 1_000_000),
      ])
    stream.queue.set(.status, source.status())
    stream.queue.set(.scenario, source.scenarios.state)
    let events = Self.events(source.directory, bytesMax: Self.eventBytesMax)
    for event in events.suffix(Self.eventsShown) { stream.queue.add(event: event) }
    if let choice = stream.wanted.logs {
      for (member, line) in LogTail.lines(choice, source.all(), count: Self.linesShown) {
        stream.queue.add(line: line, of: member)
      }
    }
  }

  /// The newest events of the log.
  static func events(_ directory: RunDirectory, bytesMax: Int) -> [JSONValue] {
    guard let end = SystemFiles.end(of: directory.eventLog, bytesMax: bytesMax) else { return [] }
    return Bytes(end.bytes).split(separator: 0x0a).compactMap { try? JSONValue.parse($0) }
  }

  // MARK: what happens

  func add(_ event: ClusterEvent) {
    guard !streams.isEmpty else { return }
    isStatusDue = true
    guard let json = try? JSONValue.parse(Bytes(event.line(at: WallClock.nanoseconds))) else {
      return
    }
    for stream in streams.values { stream.queue.add(event: json) }
  }

  func add(line: Bytes, of member: String) {
    guard streams.values.contains(where: { $0.wanted.logs != nil }) else { return }
    let parsed = LogLine(line.string)
    for stream in streams.values where stream.wanted.logs?.takes(member, parsed) == true {
      stream.queue.add(line: parsed, of: member)
    }
  }

  private func turn() {
    defer { ticks += 1 }
    if ticks % Self.ticksOfStatus == 0 {
      isStatusDue = true
      askForMetrics()
    }
    if ticks % Self.ticksOfStatus == Self.ticksOfAnswer { tellSample() }
    if isStatusDue {
      let status = source.status()
      for stream in streams.values { stream.queue.set(.status, status) }
    }
    if isScenarioDue {
      let state = source.scenarios.state
      for stream in streams.values { stream.queue.set(.scenario, state) }
    }
    isStatusDue = false
    isScenarioDue = false
    for stream in streams.values where !stream.flush(source.loop.now) { end(stream) }
  }

  private func askForMetrics() {
    let running = source.members()
    for name in source.all().map(\.name) where !running.contains(where: { $0.name == name }) {
      meter.add(name, nil, at: source.loop.now)
    }
    for member in running where asked.insert(member.name).inserted {
      source.api.get("/metrics", of: member, timeout: Self.metricsTimeout) { [weak self] page in
        guard let self, asked.remove(member.name) != nil else { return }
        meter.add(member.name, page.map { MemberMetrics($0) }, at: source.loop.now)
      }
    }
  }

  private func tellSample() {
    var names: [String: String] = [:]
    for member in source.status()["members"]?.array ?? [] {
      if let id = member["id"]?.string, let name = member["name"]?.string { names[id] = name }
    }
    let sample = meter.sample(at: WallClock.nanoseconds / 1_000_000, names: names)
    for stream in streams.values { stream.queue.set(.sample, sample) }
  }
}

/// One open page. Confined to its loop.
final class PageStream {
  /// Time that a page may take to read what was sent.
  private static let patience: UInt64 = 10_000_000_000
  let wanted: PageSubscription
  var queue = PageQueue()
  private let exchange: HTTPExchange
  private var watch: KeyWatch?
  /// Since when it has taken nothing.
  private var stuckSince: UInt64?

  init(_ wanted: PageSubscription, _ exchange: HTTPExchange, _ source: PageSource) {
    self.wanted = wanted
    self.exchange = exchange
    exchange.startResponse(status: 200, headers: ["Content-Type": "text/event-stream"])
    exchange.write("retry: 1000\n\n")
    guard let prefix = wanted.watch else { return }
    watch = KeyWatch(
      prefix, source, onMessage: { [weak self] in self?.took($0) },
      onNote: { [weak self] in self?.queue.note(watch: $0) })
  }

  private func took(_ message: KeyPages.Message) {
    if message.isCompacted { queue.loseChanges() }
    for change in message.changes { queue.add(change: change) }
  }

  /// Sends what waits.
  /// - Returns: `false` when the page reads too slowly, or is gone.
  func flush(_ now: UInt64) -> Bool {
    guard exchange.isConnected, !queue.isLost else { return false }
    guard exchange.isWritable else {
      let since = stuckSince ?? now
      stuckSince = since
      return now &- since < Self.patience
    }
    stuckSince = nil
    exchange.write(queue.take())
    return true
  }

  func end() {
    watch?.end()
    watch = nil
    exchange.onDisconnect = nil
    exchange.abort()
  }
}
