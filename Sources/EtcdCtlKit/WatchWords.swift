import CommandLineTool
import GoText

/// What a watch is about: keys and the command to run for each event, from the words of a command line and
/// from two variables. Pure.
///
/// - Source: etcd `etcdctl/ctlv3/command/watch_command.go` parseWatchArgs. Go looks for `--` from behind by
///   the command's first word, and takes a command that repeats it for a part of the range.
struct WatchWords: Equatable {
  /// Key and end of the range; what follows counts for nothing, as in Go.
  var keys: [String]
  var command: [String]

  /// The variables ETCDCTL_WATCH_KEY and ETCDCTL_WATCH_RANGE_END.
  struct Variables {
    let key: String
    let rangeEnd: String

    /// - Throws: when there is an end alone.
    init(_ environment: [String: String]) throws(CommandFailure) {
      key = environment["ETCDCTL_WATCH_KEY"] ?? ""
      rangeEnd = environment["ETCDCTL_WATCH_RANGE_END"] ?? ""
      guard !key.isEmpty || rangeEnd.isEmpty else {
        throw EtcdCtl.misuse(
          "ETCDCTL_WATCH_KEY is empty but got ETCDCTL_WATCH_RANGE_END=\(GoQuote.text(rangeEnd))")
      }
    }

    fileprivate var words: [String] {
      key.isEmpty ? [] : rangeEnd.isEmpty ? [key] : [key, rangeEnd]
    }
  }

  /// - Parameters:
  ///   - arguments: words that are no flags.
  ///   - dash: how many of them stand in front of `--`.
  init(
    _ arguments: [String], dash: Int?, _ variables: Variables
  ) throws(CommandFailure) {
    let own = Array(arguments.prefix(dash ?? arguments.count))
    command = Array(arguments.dropFirst(own.count))
    if dash != nil, command.isEmpty {
      throw EtcdCtl.misuse("bad number of arguments (found separator --, but no commands)")
    }
    if !own.isEmpty, !variables.key.isEmpty {
      throw EtcdCtl.misuse("bad number of arguments (found conflicting environment key)")
    }
    keys = variables.words + own
    guard !keys.isEmpty else { throw Self.tooFew }
  }

  static let tooFew = EtcdCtl.misuse("bad number of arguments")
}
