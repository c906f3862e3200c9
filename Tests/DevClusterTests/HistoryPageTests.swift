import Checkers
import Foundation
import Testing

@testable import DevClusterKit

#if canImport(FoundationXML)
  import FoundationXML
#endif

/// The page of a history.
@Suite struct HistoryPageTests {
  private static func history(_ count: Int) -> History {
    var history = History()
    history.header.scenario = "a <b> & \"c\""
    history.header.command = "devcluster scenario run x.yaml --seed 1"
    history.header.members = ["m1", "m2"]
    for number in 1...count {
      let time = number * 10_000_000
      history.operations.append(
        HistoryOperation(
          client: number % 3, member: "m1", action: .put(key: "register/1", value: number),
          called: time, ended: time + 5_000_000, outcome: .wrote(revision: Int64(number + 1))))
    }
    var order = HistoryEvent("order", at: 20_000_000, "cut leader->followers")
    order.until = 60_000_000
    history.events = [
      HistoryEvent("leader", at: 0, "m1 leads", member: "m1"), order,
      HistoryEvent("exit", at: 30_000_000, "m1 ended", member: "m1"),
      HistoryEvent("spawn", at: 50_000_000, "m1 runs", member: "m1"),
      HistoryEvent("leader", at: 70_000_000, "m2 leads", member: "m2"),
    ]
    var told = History.WatchRecord(client: 5, member: "m2", time: 40_000_000, from: 4)
    told.isWhole = true
    told.changes = [.init(revision: 4, key: "register/1", value: 3)]
    history.watches = [told]
    history.end = .init(
      loadEnded: count * 10_000_000 + 6_000_000, time: count * 10_000_000 + 9_000_000)
    return history
  }

  /// Names of the classes of all rectangles with a title of the chart of a page, which must be XML.
  private func marks(_ page: String) throws -> [String] {
    let start = try #require(page.range(of: "<svg "))
    let end = try #require(page.range(of: "</svg>"))
    let reader = ChartReader()
    let parser = XMLParser(data: Data(page[start.lowerBound..<end.upperBound].utf8))
    parser.delegate = reader
    #expect(parser.parse(), "\(String(describing: parser.parserError))")
    return reader.marks
  }

  private final class ChartReader: NSObject, XMLParserDelegate {
    var marks: [String] = []

    func parser(
      _ parser: XMLParser, didStartElement name: String, namespaceURI: String?,
      qualifiedName: String?, attributes: [String: String]
    ) {
      if name == "rect" { marks.append(attributes["class"] ?? "") }
    }
  }

  @Test func aGoodHistoryShowsAllThatHappened() throws {
    let history = Self.history(30)
    let page = HistoryPage(history: history, verdict: Verdict(history)).text
    #expect(page.contains("<title>ok: a &lt;b&gt; &amp; &#34;c&#34;</title>"))
    #expect(!page.contains("<b>") && !page.contains("What may not be"))
    let marks = try marks(page)
    #expect(marks.count { $0 == "fault" } == 1 && marks.count { $0 == "down" } == 1)
    #expect(marks.count { $0 == "leads" } == 2, "the leader's time ends where it ends")
    #expect(marks.count { $0 == "done" } >= 30 && !marks.contains("wrong"))
    #expect(page.contains("<td>cut leader-&gt;followers</td>"))
    #expect(page.contains("<title>told at 0.040 s: register/1 = 3 at 4</title>"))
    // Nothing is fetched and nothing runs.
    for word in ["<script", "src=", "url(", "@import", "<link"] { #expect(!page.contains(word)) }
    #expect(page.components(separatedBy: "http").count == 2, "the name space of SVG alone")
  }

  @Test func whatIsViolatedIsMarkedAndLinked() throws {
    var history = Self.history(30)
    history.operations[9].outcome = history.operations[3].outcome
    history.operations[20].outcome = .unknown("no answer")
    history.operations[21].outcome = .failed("no space")
    let verdict = Verdict(history)
    let page = HistoryPage(history: history, verdict: verdict).text
    let places = try #require(verdict.problems.first).operations
    #expect(places == [3, 9])
    for place in places {
      #expect(page.contains("<a href=\"#o\(place)\">") && page.contains("id=\"o\(place)\""))
    }
    let marks = try marks(page)
    #expect(marks.contains("part") && marks.count { $0 == "wrong" } >= 2)
    #expect(marks.count { $0 == "unknown" } >= 1 && marks.count { $0 == "failed" } == 1)
  }

  @Test func longHistoriesStayReadable() throws {
    let history = Self.history(20_000)
    var verdict = Verdict(History())
    verdict.problems = [.init(expectation: "x", text: "y", operations: [7])]
    let page = HistoryPage(history: history, verdict: verdict).text
    #expect(page.utf8.count < 2 << 20)
    #expect(try marks(page).count { $0 == "wrong" } == 1)
  }
}
