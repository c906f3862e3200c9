/// Why a command ended without doing what was asked; one line for standard error.
public struct DevClusterError: Error, Equatable, CustomStringConvertible, Sendable {
  public let description: String
  public init(_ description: String) { self.description = description }
}

/// What `devcluster up` was told.
public struct UpOptions: Sendable, Equatable {
  /// `nil`: as many as the directory has, or 3.
  public var size: Int?
  /// Program of every member; `nil`: the `etcd` beside this executable.
  public var binary: String?
  /// Programs of single members, by name.
  public var binaries: [String: String] = [:]
  public var basePort: Int?
  public var detach = false
  /// Seconds the cluster has to become healthy.
  public var wait = 60
  /// Flags for every member, from behind `--`.
  public var extra: [String] = []
  /// Descriptor on which a detached supervisor reports; set by the process that detaches it.
  public var reportDescriptor: Int32?
}

/// A command line of `devcluster`, understood.
public struct Arguments: Sendable, Equatable {
  public enum Command: Sendable, Equatable {
    case up(UpOptions)
    case down
    case clean
    case status
    case environment
    case logs(member: String?, follow: Bool)
    /// Something done to one member.
    case member(MemberAction, String)
    case help
    /// Becomes a member's program; only the supervisor says this.
    case runMember(parent: Int32, arguments: [String])
    /// Watches over the supervisor; only the supervisor says this.
    case guardian
  }

  public var command: Command
  /// As given; relative to the working directory.
  public var directory = ".devcluster"

  /// Reads the words behind the program's name.
  /// - Throws: `DevClusterError` for what cannot be understood.
  public init(_ words: [String]) throws(DevClusterError) {
    var words = words[...]
    if words.first == "__member" {
      guard words.count >= 3, let parent = Int32(words[words.startIndex + 1]) else {
        throw DevClusterError("__member is for the supervisor alone")
      }
      command = .runMember(parent: parent, arguments: Array(words.dropFirst(2)))
      return
    }
    var extra: [String] = []
    if let end = words.firstIndex(of: "--") {
      extra = Array(words[(end + 1)...])
      words = words[..<end]
    }
    var reader = WordReader(Array(words))
    while let option = try reader.next() { reader.options.append(option) }
    command = try Self.command(reader.words, reader.options, extra)
    if let given = reader.options.last(where: { $0.name == "dir" })?.value { directory = given }
  }

  private static func command(
    _ words: [String], _ options: [WordReader.Option], _ extra: [String]
  ) throws(DevClusterError) -> Command {
    if words.isEmpty || options.contains(where: { $0.name == "help" }) || words[0] == "help" {
      return .help
    }
    let name = words[0]
    let rest = Array(words.dropFirst())
    let allowed: Set<String> =
      switch name {
      case "up": ["dir", "binary", "base-port", "detach", "wait", "report-fd"]
      case "logs": ["dir", "follow"]
      default: ["dir"]
      }
    if let wrong = options.first(where: { !allowed.contains($0.name) }) {
      throw DevClusterError("devcluster \(name) takes no --\(wrong.name)")
    }
    guard name == "up" || extra.isEmpty else {
      throw DevClusterError("only devcluster up takes flags for the members behind --")
    }
    func limit(to count: Int) throws(DevClusterError) {
      guard rest.count <= count else {
        throw DevClusterError("devcluster \(name): unexpected '\(rest[count])'")
      }
    }
    switch name {
    case "up":
      try limit(to: 1)
      return .up(try upOptions(rest.first, options, extra))
    case "down", "clean", "status", "env", "__guard":
      try limit(to: 0)
      return ["down": .down, "clean": .clean, "status": .status, "env": .environment][name]
        ?? .guardian
    case "logs":
      try limit(to: 1)
      return .logs(member: rest.first, follow: options.contains { $0.name == "follow" })
    default:
      guard let action = MemberAction(rawValue: name) else {
        throw DevClusterError("devcluster has no command '\(name)' (see devcluster help)")
      }
      try limit(to: 1)
      guard let member = rest.first else {
        throw DevClusterError("devcluster \(name) needs a member, such as m1")
      }
      return .member(action, member)
    }
  }

  private static func upOptions(
    _ size: String?, _ options: [WordReader.Option], _ extra: [String]
  ) throws(DevClusterError) -> UpOptions {
    var result = UpOptions()
    result.extra = extra
    if let size {
      guard let number = Int(size), ClusterPlan.sizes.contains(number) else {
        throw DevClusterError(
          "a cluster has \(ClusterPlan.sizes.lowerBound) to \(ClusterPlan.sizes.upperBound)"
            + " members, not '\(size)'")
      }
      result.size = number
    }
    for option in options {
      let value = option.value ?? ""
      switch option.name {
      case "detach": result.detach = true
      case "binary":
        if let (member, path) = memberBinary(value) {
          result.binaries[member] = path
        } else {
          result.binary = value
        }
      case "base-port": result.basePort = try number(option, 1024...65_000)
      case "wait": result.wait = try number(option, 1...3600)
      case "report-fd": result.reportDescriptor = Int32(try number(option, 3...1024))
      default: break
      }
    }
    return result
  }

  /// Takes `m2=PATH` apart.
  private static func memberBinary(_ text: String) -> (String, String)? {
    guard let equals = text.firstIndex(of: "=") else { return nil }
    let name = text[..<equals]
    guard name.first == "m", let index = Int(name.dropFirst()), index >= 1 else { return nil }
    return (String(name), String(text[text.index(after: equals)...]))
  }

  private static func number(
    _ option: WordReader.Option, _ range: ClosedRange<Int>
  ) throws(DevClusterError) -> Int {
    guard let number = Int(option.value ?? ""), range.contains(number) else {
      throw DevClusterError(
        "--\(option.name) must be a number from \(range.lowerBound) to \(range.upperBound), not"
          + " '\(option.value ?? "")'")
    }
    return number
  }
}

/// Things done to one running cluster's member.
public enum MemberAction: String, Sendable, CaseIterable {
  case stop, start, kill, restart, pause, resume
}

/// Tells options from other words.
private struct WordReader {
  struct Option {
    let name: String
    let value: String?
  }

  private static let bare: Set<String> = ["detach", "help", "follow"]
  private static let valued: Set<String> = ["dir", "binary", "base-port", "wait", "report-fd"]

  private var rest: ArraySlice<String>
  private(set) var words: [String] = []
  var options: [Option] = []

  init(_ words: [String]) { rest = words[...] }

  /// The next option; other words on the way are gathered.
  mutating func next() throws(DevClusterError) -> Option? {
    while let word = rest.popFirst() {
      let name: String
      var value: String?
      switch word {
      case "-d": name = "detach"
      case "-f": name = "follow"
      case "-h": name = "help"
      default:
        guard word.hasPrefix("--") else {
          if word.hasPrefix("-") && word != "-" && Int(word) == nil {
            throw DevClusterError("devcluster has no option '\(word)' (see devcluster help)")
          }
          words.append(word)
          continue
        }
        let body = word.dropFirst(2)
        let equals = body.firstIndex(of: "=")
        name = String(equals.map { body[..<$0] } ?? body)
        value = equals.map { String(body[body.index(after: $0)...]) }
      }
      if Self.bare.contains(name) {
        guard value == nil else { throw DevClusterError("--\(name) takes no value") }
        return Option(name: name, value: nil)
      }
      guard Self.valued.contains(name) else {
        throw DevClusterError("devcluster has no option '\(word)' (see devcluster help)")
      }
      guard let found = value ?? rest.popFirst(), !found.isEmpty else {
        throw DevClusterError("--\(name) needs a value")
      }
      return Option(name: name, value: found)
    }
    return nil
  }
}
