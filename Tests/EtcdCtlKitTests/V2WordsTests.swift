import Testing

@testable import EtcdCtlKit

/// Command lines of the v2 API.
struct V2WordsTests {
  private static func split(_ line: String) -> [String] {
    line.split(separator: " ").map(String.init)
  }

  @Test(arguments: [
    "set a b", "mk a b", "ls", "cluster-health", "--endpoints http://a:1 ls", "--endpoints=a ls",
    "--ca-file=x member list", "-C http://a:1 get k", "--debug -o json get k", "-w json rm k",
    "--hex --timeout 1s get k", "--command-timeout 3s updatedir k", "backup --data-dir d",
  ])
  func linesOfTheV2APIAreKnown(_ line: String) {
    #expect(V2Mode.isMeant(by: Self.split(line)))
  }

  @Test(arguments: [
    "", "get a", "put set ls", "--endpoints ls get a", "-w simple get ls", "--hex get set",
    "member list", "get a --ca-file x", "-- ls", "--bogus get", "--user set get a",
    "watch --recursive k",
    "-d ls get a", "--discovery-srv mk get a", "bogus", "-",
  ])
  func linesOfTheV3APIStayThere(_ line: String) {
    #expect(!V2Mode.isMeant(by: Self.split(line)))
  }

  /// What urfave/cli does, which is more than it should.
  @Test(arguments: [
    ("k v --ttl 5", "--ttl 5 k v"), ("k --ttl=5 v", "--ttl=5 k v"), ("--sort k", "--sort k"),
    ("k -- --ttl 5", "k -- --ttl 5"), ("--ttl -5 k v", "--ttl k -5 v"), ("k -x", "k -x"),
    ("k v --sort", "--sort k v"), ("-r -f k", "-r -f k"), ("k - --ttl 5", "--ttl 5 k -"),
  ])
  func flagsComeFirst(_ line: String, _ reordered: String) {
    let flags = [
      V2Flag("ttl", .int, ""), V2Flag("sort", .bool, ""), V2Flag(["recursive", "r"], .bool, ""),
      V2Flag(["forever", "f"], .bool, ""),
    ]
    #expect(V2Words.reordered(Self.split(line), flags).joined(separator: " ") == reordered)
  }

  @Test func flagsAreRead() throws {
    let flags = [
      V2Flag("ttl", .int, default: "7", ""), V2Flag(["output", "o"], .string, ""),
      V2Flag("sort", .bool, ""), V2Flag("roles", .strings, ""),
      V2Flag("timeout", .duration, default: "2s", ""),
    ]
    func words(_ line: String) throws -> V2Words { try V2Words(flags, Self.split(line)) }
    let read = try words("-ttl=0x10 --o json --sort --roles a -roles=b --timeout 1m rest --ttl 1")
    #expect(read.int("ttl") == 16 && read.string("output") == "json" && read.bool("sort"))
    #expect(read.strings("roles") == ["a", "b"] && read.duration("timeout") == .seconds(60))
    #expect(read.arguments == ["rest", "--ttl", "1"])
    #expect(try words("").int("ttl") == 7 && words("").duration("timeout") == .seconds(2))
    for (line, message) in [
      ("--ttl", "flag needs an argument: -ttl"), ("---ttl 1", "bad flag syntax: ---ttl"),
      ("--ttl x", "invalid value \"x\" for flag -ttl: parse error"),
      (
        "--ttl 9223372036854775808",
        "invalid value \"9223372036854775808\" for flag -ttl: value out of range"
      ),
      ("--sort=2", "invalid boolean value \"2\" for -sort: parse error"),
      ("-x", "flag provided but not defined: -x"),
      ("-o a --output b", "Cannot use two forms of the same flag: o output"),
    ] {
      #expect(throws: V2Words.Failure(message: message)) { try words(line) }
    }
  }
}
