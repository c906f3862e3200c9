import Foundation

/// Runs our server and Go's side by side and compares them. See benchmarks/README.md.
@main
struct EtcdBench {
  static func main() async {
    do {
      let options = try Options.parse(Array(CommandLine.arguments.dropFirst()))
      var bench = try Bench(options)
      let begin = now()
      let machine = try MachineFacts(directory: options.scratch)
      try await bench.run()
      let text = report(bench, machine, seconds: now() - begin)
      print(text)
      if let path = options.results {
        try text.write(toFile: path, atomically: true, encoding: .utf8)
      }
    } catch {
      say("etcd-bench: \(error)")
      exit(1)
    }
  }

  private static func report(_ bench: Bench, _ machine: MachineFacts, seconds: Double) -> String {
    let options = bench.options
    var text = "# Results\n\nWritten by `etcd-bench`; README.md says how to read it.\n\n"
    for line in machine.lines { text += "- \(line)\n" }
    text += "- Loads of \(fixed(options.seconds, 0)) s, medians of \(options.runs); "
    text += "the whole run took \(fixed(seconds / 60, 1)) minutes\n"
    for reference in bench.references {
      text += "\n## Against \(reference.name)\n\n"
      text += bench.results.table(bench.ours, reference)
    }
    return text
  }
}
