/// Where a value comes from.
enum Origin: Sendable, Equatable {
  /// `--name` on the command line.
  case line
  /// The environment variable of the flag.
  case variable
  /// A line of the configuration file.
  case file(String, line: Int)
}
