import Bytes
import Foundation
import JSON
import Platform
import TestSupport
import Testing

@testable import DevClusterKit

/// The status page of a cluster that runs.
@Suite(.serialized) struct PageClusterTests {
  private func address(_ harness: Harness) throws -> PageAddress {
    try #require(PageAddress(in: try RunDirectory(harness.directory)))
  }

  /// What is answered to one request: the status, and all of it.
  private func ask(_ port: Int, _ head: String, _ body: String = "") -> (status: Int, text: String)
  {
    let socket = RawSocket.connected(to: port)
    socket.send("\(head)\r\nContent-Length: \(body.utf8.count)\r\nConnection: close\r\n\r\n\(body)")
    let text = String(decoding: socket.receiveAll().bytes, as: UTF8.self)
    return (Int(text.split(separator: " ").dropFirst().first ?? "") ?? 0, text)
  }

  @Test func itIsServedToWhoKnowsTheToken() throws {
    try Harness.with(.ours, "--ui", members: 1) { harness in
      let page = try address(harness)
      #expect(harness.status()?["page"]?.string == page.place)
      #expect(try harness.run("open", "--no-browser").output == page.url + "\n")
      let host = "Host: 127.0.0.1:\(page.port)"
      let own = "\(host)\r\nAuthorization: Bearer \(page.token)"
      let status = ask(page.port, "GET /api/v1/status HTTP/1.1\r\n\(own)")
      #expect(status.status == 200 && status.text.contains("\"leader\":\"m1\""))
      #expect(status.text.contains("Content-Security-Policy: default-src 'none'"))
      #expect(ask(page.port, "GET /api/v1/status HTTP/1.1\r\n\(host)").status == 403)
      #expect(
        ask(
          page.port,
          "GET /api/v1/status HTTP/1.1\r\nHost: evil.example\r\nAuthorization: Bearer \(page.token)"
        ).status == 421)
      let events = ask(page.port, "GET /api/v1/events HTTP/1.1\r\n\(own)").text
      let told = try harness.run("events", "--json").output
      #expect(told.split(separator: "\n").allSatisfy { events.contains($0) })
      let logs = ask(page.port, "GET /api/v1/logs?level=info&text=ELECTED HTTP/1.1\r\n\(own)")
      #expect(logs.text.contains("elected leader"))
      // Values come cut, and binary keys whole.
      #expect(
        ask(
          page.port, "POST /api/v1/keys HTTP/1.1\r\n\(own)",
          #"{"put":{"key":"/wA=","value":"dmFsdWU="}}"#
        ).status == 200)
      #expect(
        ask(page.port, "GET /api/v1/keys?prefix=%ff HTTP/1.1\r\n\(own)").text.contains(
          #""key":"/wA=","value":"dmFsdWU=","valueBytes":5"#))
      let refused = ask(
        page.port, "POST /api/v1/orders HTTP/1.1\r\n\(own)", #"{"command":"kill","who":["m7"]}"#)
      #expect(refused.status == 409 && refused.text.contains("there is no member 'm7' among m1"))
      #expect(ask(page.port, "POST /api/v1/orders HTTP/1.1\r\n\(own)", "[]").status == 400)
      let large = String(repeating: " ", count: PageServer.bodyBytesMax + 1)
      #expect(ask(page.port, "POST /api/v1/orders HTTP/1.1\r\n\(own)", large).status == 413)
    }
  }

  @Test func pagesAreFewAndSlowReadersAreGivenUp() throws {
    try Harness.with(.ours, members: 1) { harness in
      // Nothing is served before somebody asks.
      #expect(harness.status()?["page"] == nil)
      #expect(try harness.run("open", "--no-browser").status == 0)
      let page = try address(harness)
      let head =
        "GET /api/v1/stream HTTP/1.1\r\nHost: localhost:\(page.port)\r\n"
        + "Cookie: devcluster-\(page.port)=\(page.token)\r\n\r\n"
      var open: [RawSocket] = []
      for _ in 0..<PageFeed.streamsMax {
        let socket = RawSocket.connected(to: page.port)
        socket.send(head)
        #expect(socket.receive().text?.hasPrefix("HTTP/1.1 200") == true)
        open.append(socket)
      }
      let late = RawSocket.connected(to: page.port)
      late.send(head)
      #expect(late.receive().text?.hasPrefix("HTTP/1.1 503") == true)
      open = []
      // Places are free again once pages are closed.
      #expect(
        Harness.eventually {
          let next = RawSocket.connected(to: page.port)
          next.send(head)
          return next.receive().text?.hasPrefix("HTTP/1.1 200") == true
        })
    }
  }

  /// Reads a stream until it tells something.
  private func hears(_ socket: RawSocket, _ words: String) -> Bool {
    var text = ""
    let deadline = Date().addingTimeInterval(40)
    while Date() < deadline, let more = socket.receive().text {
      text += more
      if text.contains(words) { return true }
    }
    return false
  }

  private func stream(_ page: PageAddress, _ query: String) -> RawSocket {
    let socket = RawSocket.connected(to: page.port)
    socket.send(
      "GET /api/v1/stream?\(query) HTTP/1.1\r\nHost: 127.0.0.1:\(page.port)\r\n"
        + "Authorization: Bearer \(page.token)\r\n\r\n")
    return socket
  }

  /// On a busy machine there may be an election just then.
  private func puts(_ harness: Harness, _ key: String, _ value: String) -> Bool {
    Harness.eventually(seconds: 30) {
      (try? harness.run("ctl", "put", key, value))?.status == 0
    }
  }

  @Test(
    .enabled(
      if: Harness.officialEtcd != nil, "needs an official etcd: scripts/setup.sh installs one"),
    arguments: [Harness.Kind.ours, .official])
  func keysAreWatchedWithTLSAndUsers(_ kind: Harness.Kind) throws {
    try Harness.with(kind, "--ui", "--tls", "--auth") { harness in
      let page = try address(harness)
      let socket = stream(page, "watch=/app/&from=0")
      #expect(hears(socket, "event: keys\ndata: {\"changes\":[],\"lost\":false,\"note\":\"\"}"))
      #expect(puts(harness, "/other", "x"))
      #expect(puts(harness, "/app/1", "value"))
      let key = Base64.standard.encode("/app/1").string
      #expect(hears(socket, #"{"changes":[{"key":"\#(key)","value":"dmFsdWU=""#))
      // Whoever it asked: another one goes on where it was.
      #expect(try harness.run("kill", "leader").status == 0)
      #expect(Harness.eventually { !harness.names("leader").isEmpty })
      #expect(puts(harness, "/app/2", "value"))
      #expect(hears(socket, Base64.standard.encode("/app/2").string))
      #expect(hears(stream(page, ""), #""puts":"#), "samples come")
    }
  }

  @Test func aScenarioRunsToItsVerdict() throws {
    try Harness.with(.ours, "--ui", members: 1) { harness in
      let page = try address(harness)
      let own = "Host: 127.0.0.1:\(page.port)\r\nAuthorization: Bearer \(page.token)"
      func order(_ body: String) -> (status: Int, text: String) {
        ask(page.port, "POST /api/v1/scenario HTTP/1.1\r\n\(own)", body)
      }
      #expect(order(#"{"run":"../cluster.json"}"#).status == 409)
      #expect(order(#"{"run":"leader-isolated.yaml","seed":7}"#).status == 200)
      #expect(order(#"{"run":"kills.yaml"}"#).status == 409, "one at a time")
      #expect(hears(stream(page, ""), #""hasPage":true,"file":"leader-isolated.yaml","status":0"#))
      let history = ask(page.port, "GET /history.html HTTP/1.1\r\n\(own)")
      #expect(history.status == 200 && history.text.contains("<title>ok: "))
      #expect(history.text.contains("default-src 'none'; style-src 'unsafe-inline'"))
      #expect(order(#"{"run":"chaos.yaml"}"#).status == 200)
      #expect(hears(stream(page, ""), #""lines":["chaos, seed"#))
      let cluster = harness.path("scenario/cluster")
      #expect(Harness.eventually { RunDirectory.isLocked(cluster) })
      #expect(order(#"{"stop":true}"#).status == 200)
      #expect(hears(stream(page, ""), #""stopped"]"#))
      #expect(Harness.eventually { !RunDirectory.isLocked(cluster) }, "its cluster ends with it")
    }
  }

  @Test func downAndUpKeepTheAddress() throws {
    try Harness.with(.ours, "--ui", members: 1) { harness in
      let before = try address(harness)
      #expect(try harness.run("down").status == 0)
      #expect(!LocalSocket.isPortTaken(before.port))
      let up = try harness.run("up", "-d")
      #expect(up.output.contains("status page: \(before.url)"))
      #expect(try address(harness) == before)
      #expect(try harness.run("down").status == 0)
      #expect(try harness.run("up", "-d", "--ui=none").status == 0)
      #expect(harness.status()?["page"] == nil)
      // A port that somebody has is named.
      #expect(try harness.run("down").status == 0)
      let other = RawSocket.listening()
      let taken = try harness.run("up", "-d", "--ui=\(other.port)")
      #expect(taken.status == 1)
      #expect(taken.error.contains("port \(other.port) of the status page is taken"))
    }
  }
}

/// The status page in Chromium: with the mouse, the keyboard alone, at two widths, light and dark.
@Suite(.serialized, .enabled(if: Browser.program != nil, "there is no chromium"))
struct PageBrowserTests {
  private func with(_ body: (Harness, Browser, PageAddress) throws -> Void) throws {
    try Harness.with(.ours, "--ui") { harness in
      let browser = try Browser()
      defer { browser.close() }
      let page = try #require(PageAddress(in: try RunDirectory(harness.directory)))
      try browser.open(page.url)
      try browser.waits(
        "document.querySelector('#quorum')?.textContent.startsWith('3 of 3 voters')")
      try body(harness, browser, page)
      // But for the end of the stream when the cluster ends.
      #expect(browser.complaints.filter { !$0.contains("/api/v1/stream") }.isEmpty)
    }
  }

  private func faults(_ harness: Harness) -> [String] {
    (harness.status()?["faults"]?.array ?? []).compactMap { $0["text"]?.string }
  }

  @Test func theKeyboardAloneWillDo() throws {
    try with { harness, browser, page in
      #expect(try browser.value("location.href").string == page.place, "no token in the history")
      let follower = try #require(harness.names("follower").first)
      try browser.tab(to: "it.ariaLabel === 'Kill \(follower)'")
      #expect(
        try browser.value("getComputedStyle(document.activeElement).outlineStyle") == "solid",
        "the focus shows")
      try browser.press("Enter", "\r")
      try browser.waits("document.querySelector('#quorum').textContent.startsWith('2 of 3 voters')")
      #expect(harness.member(follower)?["state"] == "stopped")
      #expect(
        try browser.value("document.querySelector('#quorum').ariaLive") == "polite",
        "it is read aloud")
      try browser.tab(to: "it.ariaLabel === 'Start \(follower)'")
      try browser.press(" ", " ")
      try browser.waits("document.querySelector('#quorum').textContent.startsWith('3 of 3 voters')")
      try browser.tab(to: "it.ariaLabel === 'Cut m1 to m2'")
      try browser.press("Enter", "\r")
      try browser.waits("document.activeElement.ariaPressed === 'true'")
      #expect(faults(harness) == ["m1->m2 cut (hold)"], "one way alone")
      try browser.press("Enter", "\r")
      try browser.waits("document.activeElement.ariaPressed === 'false'")
      #expect(faults(harness).isEmpty)
      try browser.tab(to: "it.ariaLabel === 'Delay m1 to m3'")
      for _ in 0..<5 { try browser.press("ArrowRight") }
      #expect(Harness.eventually { faults(harness) == ["m1->m3 slow by 20.0 ms"] })
      try browser.press("ArrowLeft")
      #expect(Harness.eventually { faults(harness) == ["m1->m3 slow by 10.0 ms"] })
      try browser.tab(to: "it.id === 'heal' || it.textContent === 'Heal all'")
    }
  }

  @Test func itShowsWhatHappens() throws {
    try with { harness, browser, _ in
      try browser.click("[aria-label='Cut m2 to m3']")
      try browser.waits(
        "document.querySelector(\"[aria-label='Cut m2 to m3']\").ariaPressed === 'true'")
      #expect(faults(harness) == ["m2->m3 cut (hold)"])
      try browser.waits("document.querySelector('#chart .fault')")
      try browser.click("#heal")
      try browser.waits("document.querySelector('#faults-bar').hidden")
      #expect(faults(harness).isEmpty)
      // What comes from keys is text, whatever it looks like.
      let odd = "<img src=x onerror=alert(1)>"
      #expect(try harness.run("ctl", "put", "/page/\(odd)", odd).status == 0)
      let row =
        "[...document.querySelectorAll('#key-rows tr')].find(it => it.cells[0].textContent === '/page/\(odd)')"
      try browser.waits("\(row)?.cells[1].textContent === '\(odd)'")
      #expect(try browser.value("document.querySelectorAll('main img').length") == 0)
      #expect(try harness.run("ctl", "put", "/page/\(odd)", "second").status == 0)
      try browser.waits("\(row)?.cells[1].textContent === 'second'")
      #expect(try harness.run("ctl", "del", "/page/\(odd)").status == 0)
      try browser.waits("!\(row)")
      try browser.waits(
        "[...document.querySelectorAll('#events li')].some(it => /leads in term/.test(it.textContent))"
      )
      try browser.waits(
        "[...document.querySelectorAll('td[data-title=Memory]')].every(it => / MB$/.test(it.textContent))"
      )
      try browser.value(
        "(() => { const it = document.querySelector('#log-level'); it.value = 'info'; it.dispatchEvent(new Event('change')); })()"
      )
      try browser.waits("document.querySelectorAll('#log-lines li[data-level=info]').length > 10")
      #expect(try harness.run("kill", "leader").status == 0)
      try browser.waits("document.querySelectorAll('#chart .election').length > 1")
      // The supervisor's end is told as well.
      #expect(try harness.run("down").status == 0)
      try browser.waits("/does not answer/.test(document.querySelector('#quorum').textContent)")
    }
  }

  @Test func itLooksRightAtTwoWidthsLightAndDark() throws {
    try with { harness, browser, _ in
      for number in 1...30 {
        #expect(try harness.run("ctl", "put", "/app/key\(number)", "value \(number)").status == 0)
      }
      #expect(try harness.run("slow", "m1->m2", "50ms").status == 0)
      #expect(try harness.run("cut", "m3->m1").status == 0)
      try browser.waits("document.querySelectorAll('#chart .fault').length === 2")
      try browser.waits("document.querySelectorAll('#key-rows tr').length === 30")
      // For people to look at.
      let folder = ProcessInfo.processInfo.environment["PAGE_PICTURES"]
      var pictures: Set<Bytes> = []
      for width in [1_280, 400] {
        for scheme in ["light", "dark"] {
          try browser.show(width: width, scheme: scheme)
          try browser.waits(
            "document.querySelector('#chart svg').getBoundingClientRect().width < \(width)")
          #expect(
            try browser.value(
              "document.documentElement.scrollWidth <= document.documentElement.clientWidth")
              == true, "\(width) \(scheme) scrolls sideways")
          let picture = try browser.picture()
          #expect(picture.count > 20_000, "\(width) \(scheme) is empty")
          pictures.insert(picture)
          if let folder {
            let path = "\(folder)/page-\(width)-\(scheme).png"
            try Data(picture).write(to: URL(fileURLWithPath: path))
          }
        }
      }
      #expect(pictures.count == 4)
      #expect(
        try browser.value(
          "[...document.querySelectorAll('button, input, select')].every(it => it.ariaLabel || it.labels?.length || it.textContent.trim())"
        ) == true, "everything that takes the focus has a name")
    }
  }
}
