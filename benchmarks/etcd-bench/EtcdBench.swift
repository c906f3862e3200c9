import Foundation

/// Runs our server and Go's side by side and compares them. See benchmarks/README.md.
@main
struct EtcdBench {
  static func main() async {
    do {
      let arguments = Array(CommandLine.arguments.dropFirst())
      if arguments.first == "cost" {
        try await CostGuard(Array(arguments.dropFirst())).run()
        return
      }
      let options = try Options.parse(arguments)
      try raiseFileLimit()
      let begin = now()
      let bench = try await Bench(options)
      try await bench.run()
      let text = Report(bench: bench, seconds: now() - begin).text
      print(text)
      if let path = options.results {
        try text.write(toFile: path, atomically: true, encoding: .utf8)
      }
      if let path = options.plot, !bench.curve.series.isEmpty {
        try Plot(bench.curve).svg.write(toFile: path, atomically: true, encoding: .utf8)
      }
      if !bench.results.failures.isEmpty { exit(1) }
    } catch {
      say("etcd-bench: \(error)")
      exit(1)
    }
  }

  /// As many open files as allowed, for us and the servers that we start.
  private static func raiseFileLimit() throws(BenchError) {
    var limit = rlimit()
    // RLIMIT_NOFILE has another type in glibc's header.
    let files = __rlimit_resource_t(7)
    guard getrlimit(files, &limit) == 0 else { throw BenchError("getrlimit failed") }
    limit.rlim_cur = limit.rlim_max
    guard setrlimit(files, &limit) == 0 else { throw BenchError("setrlimit failed") }
  }
}

/// The results as a document.
struct Report {
  let bench: Bench
  let seconds: Double

  var text: String {
    let (options, results) = (bench.options, bench.results)
    var text = "# Results\n\nWritten by `make bench`; README.md says how to read it.\n\n"
    for line in bench.machine.lines { text += "- \(line)\n" }
    text += "- Loads of \(fixed(options.seconds, 0)) s, medians of \(options.runs); "
    text += "the whole run took \(fixed(seconds / 60, 1)) minutes\n"
    if options.scale < 1 { text += "- A quick run: sizes are a tenth\n" }
    text += "\n## Against \(bench.reference.name)\n\n"
    text += results.table(bench.ours, bench.reference, onlyShared: false)
    if !results.limits.isEmpty {
      text += "\n## What limits the loads\n\n"
      for line in results.limits { text += "- \(line)\n" }
    }
    if !bench.curve.series.isEmpty {
      text += "\n## Against the number of clients\n\n![throughput and latency](clients.svg)\n\n"
      text += bench.curve.table()
    }
    for reference in bench.references.dropLast() {
      text += "\n## Against \(reference.name)\n\n"
      text += results.table(bench.ours, reference, onlyShared: true)
    }
    if !results.failures.isEmpty {
      text += "\n## Not measured\n\n"
      for line in results.failures { text += "- \(line)\n" }
    }
    return text
  }
}
