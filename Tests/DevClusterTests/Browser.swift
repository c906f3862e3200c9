import Bytes
import Foundation
import Glibc
import JSON
import Testing

@testable import DevClusterKit

/// A headless Chromium with one page, spoken to over a pipe (the DevTools protocol). Blocks, with deadlines.
final class Browser {
  struct Failure: Error, CustomStringConvertible { let description: String }

  /// Where Debian has it; `nil` on a machine without.
  static let program: String? = [
    ProcessInfo.processInfo.environment["CHROMIUM"] ?? "", "/usr/bin/chromium",
    "/usr/bin/chromium-browser", "/usr/bin/google-chrome",
  ].first { FileManager.default.isExecutableFile(atPath: $0) }

  private let pid: pid_t
  private let reading: Int32
  private let writing: Int32
  private let profile: String
  private var buffered: [UInt8] = []
  private var lastID = 0
  private var session: String?
  /// What the page complained of: errors of scripts, of the policy, of what could not be loaded.
  private(set) var complaints: [String] = []

  init() throws {
    profile = NSTemporaryDirectory() + "chromium-\(UUID().uuidString)"
    let commands = try Self.pipe()
    let answers = try Self.pipe()
    (writing, reading) = (commands.writing, answers.reading)
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
    for number in [Int32(1), 2] {
      posix_spawn_file_actions_addopen(&actions, number, "/dev/null", O_WRONLY, 0)
    }
    // The pipes' own numbers are above those that the browser reads and writes.
    posix_spawn_file_actions_adddup2(&actions, commands.reading, 3)
    posix_spawn_file_actions_adddup2(&actions, answers.writing, 4)
    let words = [
      Self.program ?? "", "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run",
      "--disable-dev-shm-usage", "--remote-debugging-pipe", "--user-data-dir=\(profile)",
      "about:blank",
    ]
    var arguments = words.map { strdup($0) } + [nil]
    defer { for word in arguments { free(word) } }
    var pid: pid_t = 0
    let result = posix_spawn(&pid, words[0], &actions, nil, &arguments, environ)
    for end in [commands.reading, answers.writing] { Glibc.close(end) }
    guard result == 0 else { throw Failure(description: "cannot start \(words[0]): \(result)") }
    self.pid = pid
    let target = try call("Target.createTarget", ["url": "about:blank"], in: nil)
    session = try call(
      "Target.attachToTarget", ["targetId": target["targetId"] ?? .null, "flatten": true], in: nil)[
        "sessionId"]?.string
    for domain in ["Page", "Runtime", "Log"] { try call("\(domain).enable") }
  }

  private static func pipe() throws -> (reading: Int32, writing: Int32) {
    var ends: [Int32] = [0, 0]
    guard Glibc.pipe(&ends) == 0 else { throw Failure(description: "no pipe: \(errno)") }
    // Not the numbers that the browser has for them: those would be closed before they are used.
    let high = ends.map { fcntl($0, F_DUPFD_CLOEXEC, 10) }
    for end in ends { Glibc.close(end) }
    return (high[0], high[1])
  }

  /// Ends the browser, and removes what it wrote.
  func close() {
    _ = try? call("Browser.close", [:], in: nil)
    if !Harness.eventually(seconds: 5, { waitpid(self.pid, nil, WNOHANG) != 0 }) {
      kill(pid, SIGKILL)
      waitpid(pid, nil, 0)
    }
    for end in [reading, writing] { Glibc.close(end) }
    // Its children may still write.
    _ = Harness.eventually(seconds: 5) {
      (try? FileManager.default.removeItem(atPath: self.profile)) != nil
        || !FileManager.default.fileExists(atPath: self.profile)
    }
  }

  // MARK: the protocol

  @discardableResult
  func call(_ method: String, _ parameters: JSONObject = [:]) throws -> JSONValue {
    try call(method, parameters, in: session)
  }

  @discardableResult
  private func call(
    _ method: String, _ parameters: JSONObject, in session: String?
  ) throws -> JSONValue {
    lastID += 1
    var message: JSONObject = [
      "id": .integer(lastID), "method": .string(method), "params": .object(parameters),
    ]
    message["sessionId"] = session.map(JSONValue.string)
    try send(Array(JSONValue.object(message).encoded()) + [0])
    let deadline = Date().addingTimeInterval(30)
    while let answer = try next(deadline) {
      note(answer)
      guard answer["id"]?.integer(as: Int.self) == lastID else { continue }
      if let error = answer["error"] {
        throw Failure(description: "\(method): \(error.encoded().string)")
      }
      return answer["result"] ?? .null
    }
    throw Failure(description: "\(method): no answer")
  }

  private func send(_ bytes: [UInt8]) throws {
    var rest = bytes[...]
    while !rest.isEmpty {
      let count = rest.withUnsafeBytes { Glibc.write(writing, $0.baseAddress, $0.count) }
      guard count > 0 else { throw Failure(description: "the browser is gone") }
      rest = rest.dropFirst(count)
    }
  }

  /// The next message; `nil` when none comes in time.
  private func next(_ deadline: Date) throws -> JSONValue? {
    while true {
      if let end = buffered.firstIndex(of: 0) {
        let message = Bytes(buffered[..<end])
        buffered.removeSubrange(...end)
        return try JSONValue.parse(message)
      }
      let left = Int32(max(0, deadline.timeIntervalSinceNow * 1_000))
      var waiting = pollfd(fd: reading, events: Int16(POLLIN), revents: 0)
      guard left > 0, poll(&waiting, 1, left) > 0 else { return nil }
      var chunk = [UInt8](repeating: 0, count: 1 << 18)
      let count = Glibc.read(reading, &chunk, chunk.count)
      guard count > 0 else { throw Failure(description: "the browser is gone") }
      buffered += chunk[..<count]
    }
  }

  private func note(_ message: JSONValue) {
    switch message["method"]?.string {
    case "Runtime.exceptionThrown": complaints.append(message.encoded().string)
    case "Log.entryAdded" where message["params"]?["entry"]?["level"] == "error":
      complaints.append(message.encoded().string)
    default: break
    }
  }

  // MARK: the page

  func open(_ url: String) throws { try call("Page.navigate", ["url": .string(url)]) }

  /// What an expression of the page is worth.
  @discardableResult
  func value(_ expression: String) throws -> JSONValue {
    let answer = try call(
      "Runtime.evaluate",
      ["expression": .string(expression), "returnByValue": true, "awaitPromise": true])
    if let problem = answer["exceptionDetails"] {
      throw Failure(description: "\(expression): \(problem.encoded().string)")
    }
    return answer["result"]?["value"] ?? .null
  }

  /// Waits until an expression is true.
  func waits(
    _ expression: String, seconds: Double = 20, _ place: SourceLocation = #_sourceLocation
  ) throws {
    var last = JSONValue.null
    let isTrue = Harness.eventually(seconds: seconds) {
      last = (try? self.value("Boolean(\(expression))")) ?? .null
      return last == true
    }
    #expect(isTrue, "\(expression)", sourceLocation: place)
  }

  /// A key, with what it types.
  func press(_ key: String, _ text: String? = nil) throws {
    let codes = ["Tab": 9, "Enter": 13, " ": 32, "ArrowRight": 39, "ArrowLeft": 37]
    for type in ["keyDown", "keyUp"] {
      var event: JSONObject = [
        "type": .string(type), "key": .string(key), "code": .string(key == " " ? "Space" : key),
        "windowsVirtualKeyCode": .integer(codes[key] ?? 0),
      ]
      if type == "keyDown", let text { event["text"] = .string(text) }
      try call("Input.dispatchKeyEvent", event)
    }
  }

  /// Goes on with Tab until what has the focus fulfils a condition on `it`.
  func tab(to condition: String, _ place: SourceLocation = #_sourceLocation) throws {
    for _ in 0..<150 {
      try press("Tab")
      if try value("(it => Boolean(it && \(condition)))(document.activeElement)") == true { return }
    }
    Issue.record("Tab does not lead to \(condition)", sourceLocation: place)
  }

  /// Clicks on the middle of an element.
  func click(_ selector: String) throws {
    let place = try value(
      """
      (() => { const it = document.querySelector(\(JSONValue.string(selector).encoded().string));
      it.scrollIntoView({block: "center", behavior: "instant"}); const box = it.getBoundingClientRect();
      return [Math.round(box.x + box.width / 2), Math.round(box.y + box.height / 2)]; })()
      """)
    for type in ["mousePressed", "mouseReleased"] {
      try call(
        "Input.dispatchMouseEvent",
        [
          "type": .string(type), "x": place.array?[0] ?? .null, "y": place.array?[1] ?? .null,
          "button": "left", "clickCount": 1,
        ])
    }
  }

  func show(width: Int, scheme: String) throws {
    try call(
      "Emulation.setDeviceMetricsOverride",
      [
        "width": .integer(width), "height": 900, "deviceScaleFactor": 1, "mobile": false,
      ])
    try call(
      "Emulation.setEmulatedMedia",
      ["features": [["name": "prefers-color-scheme", "value": .string(scheme)]]])
  }

  /// The whole page as a PNG.
  func picture() throws -> Bytes {
    let size = try value("[innerWidth, document.documentElement.scrollHeight]")
    let answer = try call(
      "Page.captureScreenshot",
      [
        "format": "png", "captureBeyondViewport": true,
        "clip": [
          "x": 0, "y": 0, "width": size.array?[0] ?? .null, "height": size.array?[1] ?? .null,
          "scale": 1,
        ],
      ])
    return try #require(Base64.standard.decode(Bytes(answer["data"]?.string ?? "")))
  }
}
