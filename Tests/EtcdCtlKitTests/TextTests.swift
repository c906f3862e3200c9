import Bytes
import CommandLineTool
import EtcdAPI
import Testing

@testable import EtcdCtlKit

/// Texts in and out: tabs, Go's quotes, words that hold any bytes.
@Suite struct TextTests {
  @Test func tabsAlignColumnsOfNeighbours() {
    #expect(TabText.align("a\tb\nccccccccc\td\n") == "a\t\tb\nccccccccc\td\n")
    #expect(TabText.align("\tx\ty\n\tlonger text\tz\n") == "\tx\t\ty\n\tlonger text\tz\n")
    // A line without tabs ends the columns above it; seven letters leave room for one tab.
    #expect(
      TabText.align("seven77\tx\n\neight888\ty\na\tz\n")
        == "seven77\tx\n\neight888\ty\na\t\tz\n")
    #expect(TabText.align("caf\u{e9}caf\u{e9}\tx\na\ty\n") == "caf\u{e9}caf\u{e9}\tx\na\t\ty\n")
    #expect(TabText.align("\n") == "\n")
  }

  @Test func quotedTextsAreRead() throws {
    func read(_ text: String) -> (Bytes, String)? {
      GoUnquote.read(text[...]).map { (argumentBytes($0.text), String($0.rest)) }
    }
    let first = try #require(read(#""a\x41\102\u00e4\n\"" rest"#))
    #expect(first.0 == Bytes("aAB\u{e4}\n\"") && first.1 == " rest")
    #expect(read(#""\xff""#)?.0 == Bytes([0xff]))
    #expect(read("`raw\\n`)")?.0 == Bytes("raw\\n"))
    for bad in [
      "", "x", "\"open", #""\q""#, #""\x4""#, #""\777""#, "\"line\nbreak\"", #""\ud800""#,
    ] {
      #expect(read(bad) == nil, "\(bad)")
    }
  }

  @Test func wordsOfATransactionAreSplit() throws {
    #expect(
      try TxnWords.split(#"put key "a \"b\"" 'c d' --x=y"#)
        == ["put", "key", "a \"b\"", "c d", "--x=y"])
    #expect(try TxnWords.split("get '' x") == ["get", "", "x"])
    #expect(try TxnWords.split("put \"open k") == ["put", "open", "k"])
    #expect(throws: CommandFailure.self) { try TxnWords.split(#"put "\q" x"#) }
  }

  @Test func comparisonsAreRead() throws {
    let compare = try Comparison.parse(#"mod("k\x00") > "5""#)
    #expect(
      compare.key == Bytes([0x6b, 0]) && compare.target == .mod && compare.result == .greater)
    #expect(compare.targetUnion == .modRevision(5))
    #expect(try Comparison.parse(#"val("k")!= "x""#).result == .notEqual)
    #expect(try Comparison.parse(#"lease("k") = "ff""#).targetUnion == .lease(255))
    for (line, reason) in [
      ("mod", "malformed comparison: mod"), (#"size("a") = "1""#, "(unknown target size)"),
      (#"mod("a") ~ "1""#, "(unknown operator ~)"), (#"mod("a") = "x""#, "invalid txn compare"),
      (#"mod("a" = "1""#, #"; got mod("a")  """#), ("mod(\"a\") = 1", "; got mod(\"a\") = \"\""),
    ] {
      do throws(CommandFailure) {
        _ = try Comparison.parse(line)
        Issue.record("\(line) was taken")
      } catch {
        #expect(error.exitCode == 3 && error.message.contains(reason), "\(error.message)")
      }
    }
  }

  @Test func argumentsKeepTheirBytes() {
    for bytes: [UInt8] in [
      [], [0x61], [0xff], [0xc3, 0xa4], [0xc3], [0x61, 0xe2, 0x82, 0xff, 0x62], [0xed, 0xa0, 0x80],
      Array(0x80...0xff),
    ] {
      let word = EtcdCtl.argument(Array(bytes))
      #expect(argumentBytes(word) == Bytes(bytes), "\(bytes)")
    }
  }

  @Test func failuresAreToldInTheWordsOfGosClient() {
    #expect(
      Numbers.problem("ParseInt", "x", radix: 10)
        == "strconv.ParseInt: parsing \"x\": invalid syntax")
    #expect(Numbers.problem("ParseUint", "fffffffffffffffff", radix: 16).hasSuffix("out of range"))
    #expect(throws: CommandFailure.self) { try Numbers.hexID("-1") }
  }

  /// What a server says of a lease's time may be any number, and of its memory any text.
  @Test func numbersOfServersMayBeAny() {
    #expect(EtcdCtl.renewalPause(ttl: 9) == .seconds(3))
    #expect(EtcdCtl.renewalPause(ttl: .max) > .seconds(Int64.max / 4))
    #expect(EtcdCtl.decimal(12.345, 2) == "12.35" && EtcdCtl.decimal(-0.5, 2) == "-0.50")
    for value in [1e300, .infinity, .nan, 1e17] {
      #expect(EtcdCtl.decimal(value, 2) == "92233720368547758.07", "\(value)")
    }
    #expect(EtcdCtl.decimal(-1e300, 6) == "-9223372036854.775807")
  }

  /// As Go's Scanf: the first word of the line, and not a byte behind what ends it.
  @Test func aWordOfInputIsReadAlone() {
    for (input, word, unread) in [
      ("pw\nmore", "pw", "more"), ("pw more\n", "pw", "more\n"), ("  pw\r\nx", "pw", "\nx"),
      ("\npw\n", "", "pw\n"), ("", "", ""), ("pw", "pw", ""),
    ] {
      let desk = Desk(input)
      #expect(Input(desk.world().read).word() == word && desk.unread == unread, "\(input)")
    }
  }

  @Test func badVariablesAreIgnored() throws {
    for (name, text) in [
      ("COMMAND_TIMEOUT", "10"), ("DIAL_TIMEOUT", "x"), ("KEEPALIVE_TIME", "1"),
      ("KEEPALIVE_TIMEOUT", "-"), ("DEBUG", "x"), ("HEX", "q"), ("INSECURE_TRANSPORT", "maybe"),
      ("INSECURE_DISCOVERY", "2"), ("INSECURE_SKIP_TLS_VERIFY", "no"),
    ] {
      let desk = Desk()
      let settings = try desk.settings([], ["ETCDCTL_" + name: text])
      #expect(desk.error.contains("ETCDCTL_" + name) && desk.error.contains("ignored"), "\(name)")
      #expect(settings.commandTimeout == .seconds(5) && settings.dialTimeout == .seconds(2))
      #expect(settings.keepaliveTime == .seconds(2) && settings.keepaliveTimeout == .seconds(6))
      #expect(!settings.isHex && !settings.isCommandTimeoutGiven)
    }
    #expect(
      try Desk().settings([], ["ETCDCTL_COMMAND_TIMEOUT": "7s"]).commandTimeout == .seconds(7))
  }

  @Test func eventsAreReadByPeople() {
    var table = WatchTable()
    func event(_ key: Bytes, _ value: Bytes?, _ revision: Int64, was: Bytes? = nil) -> Mvccpb.Event
    {
      Mvccpb.Event(
        type: value == nil ? .delete : .put,
        kv: .init(key: key, modRevision: revision, value: value ?? Bytes()),
        prevKv: was.map { .init(key: key, value: $0) })
    }
    #expect(
      table.lines(
        .init(events: [event("a", "1", 2), event("b", Bytes([0, 0xff]), 3), event("a", nil, 4)]))
          == """
          REVISION  TYPE    KEY           VALUE
                 2  PUT     a             1
                 3  PUT     b             "\\x00\\xff"
                 4  DELETE  a

          """)
    #expect(table.lines(.init()) == "")
    let long = Bytes(String(repeating: "k", count: 14))
    #expect(
      table.lines(.init(events: [event(long, "x", 1_234_567_890, was: "y")]))
        == "1234567890  PUT     kkkkkkkkkkkkkk  x  (was y)\n")
    #expect(
      table.lines(.init(events: [event("a", nil, 5, was: "x")]))
        == "         5  DELETE  a               (was x)\n")
    #expect(WatchTable.cell(Bytes(String(repeating: "v", count: 100))).count == 80)
  }
}
