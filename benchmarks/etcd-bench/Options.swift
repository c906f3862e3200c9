import Foundation

/// What the command line asks for.
struct Options {
  /// Our server; next to this tool unless given.
  var ours =
    URL(fileURLWithPath: CommandLine.arguments[0]).deletingLastPathComponent().path
    + "/etcd"
  /// Go etcd servers to compare with. The last is measured at everything, the others at what is
  /// quick.
  var references: [String] = []
  /// Seconds that one measured load lasts.
  var seconds = 3.0
  /// Measured loads of each kind; the median counts.
  var runs = 3
  /// Keys of the large store.
  var keys = 1_000_000
  /// Share of the sizes that the issue gives; below 1 goals say little.
  var scale = 1.0
  /// Where to write the results; `nil` to print them only.
  var results: String?
  /// Parent of the data directories.
  var scratch = NSTemporaryDirectory()
  /// Whether the data directories stay when the run ends, for a profiler.
  var keepsData = false
  /// Groups of work to do.
  var groups: Set<Group> = Set(Group.allCases)

  /// Where to draw the curve; `nil` not to.
  var plot: String?

  enum Group: String, CaseIterable {
    case one, three, curve, keys, idle, large, connections, defrag, commits, recovery, watch, lease
    case tls, proxy
    case size
  }

  static let usage = """
    usage: etcd-bench [--quick] [--ours PATH] [--go PATH]... [--seconds S] [--runs N] [--keys N]
                      [--only GROUP,...] [--dir PATH] [--keep] [--scale X] [--alone]
                      [--results FILE] [--plot FILE]
           etcd-bench cost --server PATH --baseline FILE [--accept]
    groups: \(Group.allCases.map(\.rawValue).joined(separator: " "))

    """

  /// - Throws: `BenchError` naming the argument that is wrong or the program that is missing.
  static func parse(_ arguments: [String]) throws(BenchError) -> Options {
    var options = Options()
    var rest = arguments[...]
    var given: [String] = []
    var isAlone = false
    func value<T>(_ name: String, _ convert: (String) -> T?) throws(BenchError) -> T {
      guard let text = rest.popFirst(), let value = convert(text) else {
        throw BenchError("\(name) needs a value\n\(usage)")
      }
      return value
    }
    while let name = rest.popFirst() {
      switch name {
      case "--quick":
        (options.seconds, options.runs, options.keys) = (1, 1, 100_000)
        options.scale = 0.1
      case "--ours": options.ours = try value(name) { $0 }
      case "--go": given.append(try value(name) { $0 })
      case "--seconds": options.seconds = try value(name) { Double($0) }
      case "--runs": options.runs = try value(name) { Int($0) }
      case "--keys": options.keys = try value(name) { Int($0) }
      case "--dir": options.scratch = try value(name) { $0 }
      case "--keep": options.keepsData = true
      case "--scale": options.scale = try value(name) { Double($0) }
      case "--alone": isAlone = true
      case "--plot": options.plot = try value(name) { $0 }
      case "--results": options.results = try value(name) { $0 }
      case "--only":
        let names = try value(name) { $0.split(separator: ",").map(String.init) }
        options.groups = Set(names.compactMap(Group.init))
        guard options.groups.count == names.count else { throw BenchError(usage) }
      default: throw BenchError("unknown argument \(name)\n\(usage)")
      }
    }
    options.references = isAlone ? [] : given.isEmpty ? defaultReferences : given
    for program in [options.ours] + options.references {
      guard FileManager.default.isExecutableFile(atPath: program) else {
        throw BenchError("\(program) is not an executable file")
      }
    }
    guard options.runs > 0, options.seconds > 0, options.keys > 0 else { throw BenchError(usage) }
    guard isAlone || !options.references.isEmpty else {
      throw BenchError("no Go etcd found; use --go PATH")
    }
    return options
  }

  /// Debian's etcd 3.4, and 3.5 where `scripts/setup.sh` puts it.
  private static var defaultReferences: [String] {
    ["/usr/bin/etcd", ".build/tools/etcd-3.5/etcd"].filter {
      FileManager.default.isExecutableFile(atPath: $0)
    }
  }
}

/// Why the run cannot go on.
struct BenchError: Error, CustomStringConvertible {
  let description: String
  init(_ description: String) { self.description = description }
}
