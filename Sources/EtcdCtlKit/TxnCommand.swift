import Bytes
import CommandLineTool
import EtcdAPI
import GoText
import Protobuf

extension EtcdCtl {
  /// - Source: etcd `etcdctl/ctlv3/command/txn_command.go`.
  static func txnCommand(_ world: World) -> Command {
    command(
      "txn [options]", "Txn processes all the requests in one transaction",
      [
        CommandFlag(
          "interactive", shorthand: "i", .bool, "Input transaction in interactive mode")
      ]
    ) { (invocation) throws(CommandFailure) in
      guard invocation.arguments.isEmpty else {
        throw misuse("txn command does not accept argument")
      }
      let context = try Context(invocation, world)
      let request = try readTransaction(invocation, world)
      let answer = try context.request(
        Etcdserverpb.KVService.txn, request, Etcdserverpb.TxnResponse.self)
      let reply = answer.message
      try context.printer.show(
        Views(
          simple: { context.printer.simple(reply, &$0) }, json: { reply.goJSON },
          fields: { $0.add(reply) }, raw: answer.raw))
    }
  }

  /// Three blocks of lines, each ended by an empty one.
  private static func readTransaction(
    _ invocation: Invocation, _ world: World
  ) throws(CommandFailure) -> Etcdserverpb.TxnRequest {
    let isInteractive = invocation.bool("interactive")
    var input = Input(world.read)
    func prompt(_ text: String) { if isInteractive { invocation.console.print(text + "\n") } }
    var request = Etcdserverpb.TxnRequest()
    prompt("compares:")
    for line in try block(&input) { request.compare.append(try Comparison.parse(line)) }
    prompt("success requests (get, put, del):")
    request.success = try operations(&input, invocation.console)
    prompt("failure requests (get, put, del):")
    request.failure = try operations(&input, invocation.console)
    return request
  }

  private static func block(_ input: inout Input) throws(CommandFailure) -> [String] {
    var lines: [String] = []
    while true {
      guard let text = input.line() else { throw invalid("EOF") }
      let line = trimmed(text)
      if line.isEmpty { return lines }
      lines.append(line)
    }
  }

  private static func trimmed(_ text: String) -> String {
    func isSpace(_ character: Character) -> Bool { character.isWhitespace }
    return String(text.drop(while: isSpace).reversed().drop(while: isSpace).reversed())
  }

  private static func invalid(_ message: String) -> CommandFailure {
    CommandFailure(message, exitCode: CommandFailure.invalidInput)
  }

  private static func operations(
    _ input: inout Input, _ console: Console
  ) throws(CommandFailure) -> [Etcdserverpb.RequestOp] {
    var operations: [Etcdserverpb.RequestOp] = []
    for line in try block(&input) {
      operations.append(.init(request: try operation(line, input, console)))
    }
    return operations
  }

  private static func operation(
    _ line: String, _ input: Input, _ console: Console
  ) throws(CommandFailure) -> Etcdserverpb.RequestOp.OneOf_Request {
    let words = try TxnWords.split(line)
    guard words.count >= 2 else { throw invalid("invalid txn compare request: \(line)") }
    func read(_ use: String, _ flags: [CommandFlag]) throws(CommandFailure) -> Invocation {
      let command = command(use, "", flags) { (_) throws(CommandFailure) in }
      do throws(CommandFailure) {
        return try Invocation(of: command, words: Array(words.dropFirst()), console: console)
      } catch {
        // The commands stand below one without a name here.
        console.printError(CommandPath([Command("", short: ""), command]).usage() + "\n")
        throw invalid("invalid txn request: \(line)")
      }
    }
    // A prefix that only one command has will do, as on the command line.
    switch ["del", "get", "put"].first(where: { $0.hasPrefix(words[0]) && !words[0].isEmpty }) {
    case "get": return .requestRange(try rangeRequest(try read(getUse, getFlags)))
    case "put":
      return .requestPut(try putRequest(try read(putUse, putFlags)) { input.all() })
    case "del": return .requestDeleteRange(try deleteRequest(try read(deleteUse, deleteFlags)))
    default: throw invalid("invalid txn request: \(line)")
    }
  }
}

/// Words of a line: bare ones, `'…'` as it stands, `"…"` with Go's escapes.
enum TxnWords {
  static func split(_ line: String) throws(CommandFailure) -> [String] {
    var words: [String] = []
    var rest = line[...]
    while let first = rest.first {
      if first.isWhitespace {
        rest.removeFirst()
      } else if first == "\"" {
        guard let (text, behind) = GoUnquote.read(rest) else {
          // A quote that never closes is passed over; one that closes must be well-formed.
          guard hasClosingQuote(rest.dropFirst()) else {
            rest.removeFirst()
            continue
          }
          throw CommandFailure("invalid syntax", exitCode: CommandFailure.invalidInput)
        }
        words.append(text)
        rest = behind
      } else if first == "'" {
        let inside = rest.dropFirst()
        guard let end = inside.firstIndex(of: "'") else {
          rest.removeFirst()
          continue
        }
        words.append(String(inside[..<end]))
        rest = inside[inside.index(after: end)...]
      } else {
        let word = rest.prefix { !$0.isWhitespace }
        words.append(String(word))
        rest = rest.dropFirst(word.count)
      }
    }
    return words
  }

  private static func hasClosingQuote(_ text: Substring) -> Bool {
    var isEscaped = false
    for character in text {
      if isEscaped {
        isEscaped = false
      } else if character == "\\" {
        isEscaped = true
      } else if character == "\"" {
        return true
      }
    }
    return false
  }
}

/// Go's quoted strings: `"…"` with escapes or back quotes without.
enum GoUnquote {
  /// - Returns: the text, bytes that are no UTF-8 as `argumentBytes` expects them, and what follows;
  ///   `nil` when there is no well-formed string.
  static func read(_ text: Substring) -> (text: String, rest: Substring)? {
    guard let quote = text.first, quote == "\"" || quote == "`" else { return nil }
    var scalars = text.unicodeScalars.dropFirst()
    if quote == "`" {
      guard let end = scalars.firstIndex(of: "`") else { return nil }
      return (String(scalars[..<end]), text[scalars.index(after: end)...])
    }
    var out = ByteWriter(capacity: 64)
    while let scalar = scalars.popFirst() {
      if scalar == "\"" {
        return (EtcdCtl.argument(Array(out.finish())), text[scalars.startIndex...])
      }
      if scalar == "\n" { return nil }
      guard scalar == "\\" else {
        out.append(argumentBytes(String(scalar)))
        continue
      }
      guard escape(&scalars, &out) else { return nil }
    }
    return nil
  }

  private static let plain: [Unicode.Scalar: UInt8] = [
    "a": 7, "b": 8, "f": 12, "n": 10, "r": 13, "t": 9, "v": 11, "\\": 0x5c, "\"": 0x22,
  ]

  private static func escape(
    _ scalars: inout Substring.UnicodeScalarView, _ out: inout ByteWriter
  ) -> Bool {
    guard let kind = scalars.popFirst() else { return false }
    if let byte = plain[kind] {
      out.append(byte)
      return true
    }
    func number(_ count: Int, _ radix: UInt32, _ start: UInt32 = 0) -> UInt32? {
      var value = start
      for _ in 0..<count {
        guard let digit = scalars.popFirst(), let one = UInt32(String(digit), radix: Int(radix))
        else { return nil }
        value = value * radix + one
      }
      return value
    }
    switch kind {
    case "x":
      guard let value = number(2, 16) else { return false }
      out.append(UInt8(value))
    case "0"..."7":
      guard let value = number(2, 8, kind.value - 0x30), value < 256 else { return false }
      out.append(UInt8(value))
    case "u", "U":
      guard let value = number(kind == "u" ? 4 : 8, 16), let scalar = Unicode.Scalar(value) else {
        return false
      }
      out.append(String(scalar))
    default: return false
    }
    return true
  }
}

/// `mod("key") > "1"` and its like.
enum Comparison {
  static func parse(_ line: String) throws(CommandFailure) -> Etcdserverpb.Compare {
    guard let parenthesis = line.firstIndex(of: "(") else {
      throw failure("malformed comparison: \(line)")
    }
    let target = String(line[..<parenthesis])
    let parts = Parts(line[line.index(after: parenthesis)...])
    guard parts.isComplete else {
      throw failure(
        "malformed comparison: \(line); got \(target)(\(quote(parts.key))) \(parts.sign) "
          + quote(parts.value))
    }
    var compare = Etcdserverpb.Compare(key: argumentBytes(parts.key))
    switch target {
    case "ver", "version":
      compare.target = .version
      compare.targetUnion = .version(try number(parts.value, line))
    case "c", "create":
      compare.target = .create
      compare.targetUnion = .createRevision(try number(parts.value, line))
    case "m", "mod":
      compare.target = .mod
      compare.targetUnion = .modRevision(try number(parts.value, line))
    case "val", "value":
      compare.target = .value
      compare.targetUnion = .value(argumentBytes(parts.value))
    case "lease":
      compare.target = .lease
      guard let id = Int64(parts.value, radix: 16) else {
        throw failure("invalid txn compare request: \(line)")
      }
      compare.targetUnion = .lease(id)
    default: throw failure("malformed comparison: \(line) (unknown target \(target))")
    }
    switch parts.sign {
    case "=": compare.result = .equal
    case "!=": compare.result = .notEqual
    case ">": compare.result = .greater
    case "<": compare.result = .less
    default: throw failure("malformed comparison: \(line) (unknown operator \(parts.sign))")
    }
    return compare
  }

  private static func failure(_ message: String) -> CommandFailure {
    CommandFailure(message, exitCode: CommandFailure.invalidInput)
  }

  private static func quote(_ text: String) -> String { GoQuote.text(argumentBytes(text)) }

  private static func number(_ text: String, _ line: String) throws(CommandFailure) -> Int64 {
    guard let number = Int64(text) else {
      throw failure("invalid txn compare request: \(line)")
    }
    return number
  }

  /// What Go's `Sscanf(text, "%q) %s %q")` reads.
  private struct Parts {
    var key = ""
    var sign = ""
    var value = ""
    var isComplete = false

    init(_ text: Substring) {
      guard let (key, behind) = GoUnquote.read(text.drop(while: \.isWhitespace)) else { return }
      self.key = key
      guard behind.first == ")" else { return }
      let rest = behind.dropFirst().drop(while: \.isWhitespace)
      sign = String(rest.prefix { !$0.isWhitespace })
      let last = rest.dropFirst(sign.count).drop(while: \.isWhitespace)
      guard !sign.isEmpty, let (value, _) = GoUnquote.read(last) else { return }
      self.value = value
      isComplete = true
    }
  }
}
