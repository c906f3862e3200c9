import GoText

/// A history with its verdict as one page of HTML, for people: what was violated and the operations that show it, and
/// all that happened on one axis of time. Needs no script and nothing from elsewhere. Pure.
struct HistoryPage {
  let history: History
  let verdict: Verdict

  /// Problems that are shown in full.
  private static let problemsShown = 20

  var text: String {
    let header = history.header
    let good = verdict.isGood
    return """
      <!doctype html>
      <html lang="en"><head><meta charset="utf-8">
      <meta name="viewport" content="width=device-width, initial-scale=1">
      <title>\(verdict.word): \(GoHTML.escaped(header.scenario))</title>
      <style>\(Self.style)</style></head><body>
      <h1>\(GoHTML.escaped(header.scenario))</h1>
      <p class="verdict \(good ? "good" : "bad")">\(GoHTML.escaped(line))</p>
      <p>\(GoHTML.escaped(verdict.summary)). Load \(GoHTML.escaped(header.load)), seed \(header.seed), \
      begun \(GoHTML.escaped(header.started)), members \(GoHTML.escaped(header.members.joined(separator: ", "))).</p>
      <p>Again: <code>\(GoHTML.escaped(header.command))</code></p>
      \(problems)
      <h2>What happened</h2>
      <p class="legend">\(Self.legend)</p>
      <div class="chart">\(HistoryChart(history: history, verdict: verdict).text)</div>
      <h2>Events</h2>
      \(events)
      </body></html>

      """
  }

  private var line: String {
    guard let first = verdict.problems.first else { return "ok: all holds that was expected" }
    let more = verdict.problems.count - 1
    return "\(verdict.word): \(first.expectation): \(first.text)"
      + (more > 0 ? ", and \(more) more" : "")
  }

  private var problems: String {
    guard !verdict.isGood else { return "" }
    var text = "<h2>What may not be</h2><ol>"
    for problem in verdict.problems.prefix(Self.problemsShown) {
      text += "<li><strong>\(problem.expectation)</strong>: \(GoHTML.escaped(problem.text))"
      if !problem.operations.isEmpty {
        let shown = problem.operations.map { place in
          // checked: a place of an operation
          "<li><a href=\"#o\(place)\">\(GoHTML.escaped(history.operations[place].description))</a></li>"
        }
        text += "<ul>\(shown.joined())</ul>"
      }
      text += "</li>"
    }
    let rest = verdict.problems.count - Self.problemsShown
    return text + "</ol>" + (rest > 0 ? "<p>and \(rest) more</p>" : "")
  }

  private var events: String {
    let rows = history.events.sorted { $0.time < $1.time }.map { event in
      "<tr><td>\(HistoryOperation.seconds(event.time)) s</td><td>\(GoHTML.escaped(event.kind))</td>"
        + "<td>\(GoHTML.escaped(event.text))</td></tr>"
    }
    return "<table>\(rows.joined(separator: "\n"))</table>"
  }

  private static let legend = """
    <span class="key done"></span>answered <span class="key failed"></span>refused \
    <span class="key unknown"></span>outcome unknown <span class="key wrong"></span>shows a violation \
    <span class="key leads"></span>leads <span class="key down"></span>does not run \
    <span class="key frozen"></span>frozen <span class="key fault"></span>fault. \
    What a mark is shows when the pointer is on it; the violation that is told first is shaded.
    """

  private static let style = """
    :root{color-scheme:light dark;--text:#1b1f24;--back:#fff;--line:#d0d7de;--done:#2f6fb3;--failed:#8b949e;\
    --unknown:#d98200;--wrong:#cf222e;--leads:#2da44e;--down:#57606a;--frozen:#8fb7e0;--fault:#a475f9}
    @media(prefers-color-scheme:dark){:root{--text:#e6edf3;--back:#0d1117;--line:#30363d;--done:#58a6ff;\
    --failed:#6e7681;--unknown:#e3a008;--wrong:#ff6b6b;--leads:#3fb950;--down:#adbac7;--frozen:#33557a;--fault:#bc8cff}}
    body{font:15px/1.45 system-ui,sans-serif;color:var(--text);background:var(--back);margin:1.5em;max-width:none}
    h1{font-size:1.4em;margin:0}h2{font-size:1.1em;margin:1.4em 0 .4em}
    .verdict{font-weight:600;padding:.4em .7em;border-left:6px solid}
    .good{border-color:var(--leads)}.bad{border-color:var(--wrong)}
    code{overflow-wrap:anywhere}a{color:inherit}
    .chart{overflow-x:auto;border:1px solid var(--line)}
    svg{display:block}svg text{fill:var(--text);font:11px system-ui,sans-serif}
    .grid{stroke:var(--line)}.done{fill:var(--done);background:var(--done)}
    .failed{fill:var(--failed);background:var(--failed)}.unknown{fill:var(--unknown);background:var(--unknown)}
    .wrong{fill:var(--wrong);background:var(--wrong)}.leads{fill:var(--leads);background:var(--leads)}
    .down{fill:var(--down);background:var(--down)}.frozen{fill:var(--frozen);background:var(--frozen)}
    .fault{fill:var(--fault);background:var(--fault)}.part{fill:var(--wrong);opacity:.12}
    .change{stroke:var(--leads);stroke-dasharray:3 3}rect:target{stroke:var(--text);stroke-width:2}
    .key{display:inline-block;width:.9em;height:.9em;margin:0 .3em 0 .9em;vertical-align:-.1em}
    table{border-collapse:collapse}td{padding:.1em .8em .1em 0;border-bottom:1px solid var(--line);vertical-align:top}
    td:first-child{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
    """
}
