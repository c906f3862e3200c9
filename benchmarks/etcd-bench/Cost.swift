import Foundation

/// What a program run did.
struct Cost {
  var instructions: Double
  var allocations: Double

  func least(_ other: Cost) -> Cost {
    Cost(
      instructions: min(instructions, other.instructions),
      allocations: min(allocations, other.allocations))
  }

  func divided(by count: Double) -> Cost {
    Cost(instructions: instructions / count, allocations: allocations / count)
  }
}

extension Cost {
  private static let allocators: Set<Substring> = [
    "malloc", "calloc", "realloc", "posix_memalign", "aligned_alloc",
  ]

  /// Reads what callgrind wrote: the sum of all instructions, and the calls of the allocator.
  ///
  /// A name is given once as `(id) name` and by `(id)` afterwards; `cfn=` names the function that
  /// the `calls=` line below it is about.
  init(callgrind path: String) throws(BenchError) {
    guard let text = try? String(contentsOfFile: path, encoding: .utf8) else {
      throw BenchError("callgrind wrote no \(path); is valgrind installed?")
    }
    var names: [Substring: Substring] = [:]
    var called: Substring?
    var total: Double?
    allocations = 0
    for line in text.split(separator: "\n") {
      if line.hasPrefix("fn=") || line.hasPrefix("cfn=") {
        let parts = line.split(separator: "=", maxSplits: 1)[1].split(separator: " ", maxSplits: 1)
        if parts.count == 2 { names[parts[0]] = parts[1] }
        if line.hasPrefix("cfn=") { called = names[parts[0]] }
      } else if line.hasPrefix("calls=") {
        let count = line.dropFirst(6).split(separator: " ").first.flatMap { Double($0) }
        if let called, Self.allocators.contains(called) { allocations += count ?? 0 }
      } else if line.hasPrefix("totals:") || line.hasPrefix("summary:") {
        total = line.split(separator: " ").dropFirst().first.flatMap { Double($0) } ?? total
      }
    }
    guard let total, allocations > 0 else { throw BenchError("\(path) holds no counts") }
    instructions = total
  }
}

/// Costs by kind of request, as the committed file holds them: name, instructions, allocations.
struct CostTable {
  let rows: [String: Cost]

  init(rows: [String: Cost]) { self.rows = rows }

  init(file: String) throws(BenchError) {
    guard let text = try? String(contentsOfFile: file, encoding: .utf8) else {
      throw BenchError("cannot read \(file)")
    }
    var rows: [String: Cost] = [:]
    for line in text.split(separator: "\n") where !line.hasPrefix("#") {
      let fields = line.split(separator: " ")
      guard fields.count == 3, let instructions = Double(fields[1]),
        let allocations = Double(fields[2])
      else { throw BenchError("\(file): \(line)") }
      rows[String(fields[0])] = Cost(instructions: instructions, allocations: allocations)
    }
    self.rows = rows
  }

  func write(to file: String) throws {
    var text = "# Instructions and allocations of a request, by `make cost ACCEPT=1`.\n"
    for (name, cost) in rows.sorted(by: { $0.key < $1.key }) {
      text += "\(name) \(fixed(cost.instructions, 0)) \(fixed(cost.allocations, 2))\n"
    }
    try text.write(toFile: file, atomically: true, encoding: .utf8)
  }

  /// Prints both tables.
  /// - Returns: whether no number is above the accepted one by more than `tolerance`.
  func compare(with accepted: CostTable, tolerance: Double) -> Bool {
    var isWithin = true
    for (name, cost) in rows.sorted(by: { $0.key < $1.key }) {
      guard let known = accepted.rows[name] else {
        print("cost: \(name) is not in the baseline")
        isWithin = false
        continue
      }
      for (what, value, limit) in [
        ("instructions", cost.instructions, known.instructions),
        ("allocations", cost.allocations, known.allocations),
      ] {
        let isGrown = value > limit * (1 + tolerance)
        if isGrown { isWithin = false }
        print(
          "cost: \(name) \(fixed(value, 1)) \(what), accepted \(fixed(limit, 1)) "
            + "(\(fixed((value / limit - 1) * 100, 1)) %)\(isGrown ? " TOO MUCH" : "")")
      }
    }
    return isWithin
  }
}
