import Foundation

/// Throughput and latency against the number of clients, as SVG: four charts, clients and latency on
/// logarithmic scales.
struct Plot {
  private let curve: Curve
  private static let colors = ["#c2410c", "#1d4ed8"]
  private static let (width, height) = (460.0, 300.0)
  private static let (left, top, right, bottom) = (64.0, 36.0, 16.0, 44.0)

  init(_ curve: Curve) { self.curve = curve }

  private var servers: [Server] {
    curve.series.reduce(into: []) { if !$0.contains($1.server) { $0.append($1.server) } }
  }

  var svg: String {
    let (width, height) = (Self.width * 2, Self.height * 2 + 30)
    var text = """
      <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 \(fixed(width, 0)) \(fixed(height, 0))"
        font-family="sans-serif" font-size="12">
      <rect width="100%" height="100%" fill="white"/>

      """
    for (index, server) in servers.enumerated() {
      let x = 64 + Double(index) * 160
      text += line([(x, 15), (x + 24, 15)], color: Self.colors[index % 2], isDashed: false)
      text += label(server.shortName, x + 30, 19)
    }
    text += label("dashed: p99", 64 + Double(servers.count) * 160, 19)
    for (row, work) in ["Put", "Range"].enumerated() {
      text += chart(work, isLatency: false, column: 0, row: row)
      text += chart(work, isLatency: true, column: 1, row: row)
    }
    return text + "</svg>\n"
  }

  private func chart(_ work: String, isLatency: Bool, column: Int, row: Int) -> String {
    let (x0, y0) = (Double(column) * Self.width, Double(row) * Self.height + 30)
    let series = curve.series.filter { $0.work == work }
    let points = series.flatMap(\.points)
    guard let most = points.map(isLatency ? \.p99 : \.perSecond).max(),
      let least = points.map(\.p50).min(), let clients = points.map(\.clients).max()
    else { return "" }
    let low = isLatency ? pow(10, floor(log10(least * 1e6))) : 0
    let high = isLatency ? pow(10, ceil(log10(most * 1e6))) : most * 1.1
    let plotWidth = Self.width - Self.left - Self.right
    let plotHeight = Self.height - Self.top - Self.bottom
    func x(_ count: Int) -> Double {
      x0 + Self.left + plotWidth * log(Double(count)) / log(Double(Swift.max(clients, 2)))
    }
    func y(_ value: Double) -> Double {
      let share = isLatency ? log(value / low) / log(high / low) : value / high
      return y0 + Self.top + plotHeight * (1 - share)
    }
    var text = label(
      isLatency ? "\(work): latency, µs" : "\(work): requests a second", x0 + Self.left,
      y0 + Self.top - 10)
    let ticks = isLatency ? powers(low, high) : steps(high)
    for tick in ticks {
      text += line(
        [(x0 + Self.left, y(tick)), (x0 + Self.width - Self.right, y(tick))], color: "#ddd",
        isDashed: false)
      text += label(short(tick), x0 + Self.left - 6, y(tick) + 4, anchor: "end")
    }
    for count in Set(points.map(\.clients)).sorted() {
      text += label("\(count)", x(count), y0 + Self.height - Self.bottom + 16, anchor: "middle")
    }
    text += label(
      "clients", x0 + Self.left + plotWidth / 2, y0 + Self.height - 10, anchor: "middle")
    for one in series {
      let color = Self.colors[(servers.firstIndex(of: one.server) ?? 0) % 2]
      if isLatency {
        text += line(one.points.map { (x($0.clients), y($0.p50 * 1e6)) }, color: color)
        text += line(
          one.points.map { (x($0.clients), y($0.p99 * 1e6)) }, color: color, isDashed: true)
      } else {
        text += line(one.points.map { (x($0.clients), y($0.perSecond)) }, color: color)
      }
    }
    return text
  }

  /// 10^n from low to high.
  private func powers(_ low: Double, _ high: Double) -> [Double] {
    Array(sequence(first: low) { $0 * 10 <= high * 1.01 ? $0 * 10 : nil })
  }

  /// About five round steps.
  private func steps(_ high: Double) -> [Double] {
    let unit = pow(10, floor(log10(high / 5)))
    let step = [1.0, 2, 5, 10].map { $0 * unit }.first { high / $0 <= 6 } ?? unit * 10
    return Array(stride(from: 0, through: high, by: step))
  }

  private func short(_ value: Double) -> String {
    value >= 1_000_000
      ? "\(fixed(value / 1e6, 0)) M"
      : value >= 1_000 ? "\(fixed(value / 1e3, 0)) k" : fixed(value, 0)
  }

  private func line(
    _ points: [(Double, Double)], color: String, isDashed: Bool = false
  ) -> String {
    let text = points.map { "\(fixed($0.0, 1)),\(fixed($0.1, 1))" }.joined(separator: " ")
    let dash = isDashed ? " stroke-dasharray=\"5 4\"" : ""
    return "<polyline points=\"\(text)\" fill=\"none\" stroke=\"\(color)\" stroke-width=\"1.6\""
      + "\(dash)/>\n"
  }

  private func label(
    _ text: String, _ x: Double, _ y: Double, anchor: String = "start"
  ) -> String {
    "<text x=\"\(fixed(x, 1))\" y=\"\(fixed(y, 1))\" text-anchor=\"\(anchor)\">\(text)</text>\n"
  }
}
