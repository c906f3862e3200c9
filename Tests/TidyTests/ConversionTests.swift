import Foundation
import Testing

/// Numbers from outside may not end the process: where bytes become values, a conversion says what
/// happens to a number that does not fit, and nothing is taken for granted without saying why.
@Suite struct ConversionTests {
  /// Targets that read what others wrote: the wire, files, flags.
  private static let targets = [
    "Protobuf", "HTTP", "GRPC", "PeerTransport", "WAL", "Snap", "Bolt", "MemberStorage",
    "EtcdConfig", "EtcdCtlKit",
  ]

  /// Lines of each file that were there before this rule and were looked at: 2026-11-26. A file may
  /// have fewer; one that is not named has none.
  private static let known: [String: Int] = [
    "Sources/Bolt/BoltDatabase+Open.swift": 1,
    "Sources/Bolt/BoltDatabase.swift": 6,
    "Sources/Bolt/ChangedCursor.swift": 2,
    "Sources/Bolt/Format.swift": 4,
    "Sources/Bolt/Freelist.swift": 8,
    "Sources/Bolt/Page.swift": 10,
    "Sources/Bolt/ReadTransaction.swift": 1,
    "Sources/Bolt/Survey.swift": 5,
    "Sources/Bolt/TreeWriter.swift": 6,
    "Sources/EtcdCtlKit/CheckCommands.swift": 1,
    "Sources/EtcdCtlKit/Endpoint.swift": 2,
    "Sources/EtcdCtlKit/EtcdCtl.swift": 1,
    "Sources/EtcdCtlKit/Printer.swift": 1,
    "Sources/EtcdCtlKit/TxnCommand.swift": 3,
    "Sources/GRPC/ClientCall.swift": 2,
    "Sources/GRPC/GRPCClientConnection.swift": 2,
    "Sources/GRPC/GRPCRouter.swift": 1,
    "Sources/GRPC/GRPCStatus.swift": 2,
    "Sources/GRPC/Gzip.swift": 2,
    "Sources/GRPC/HTTP2Connection.swift": 22,
    "Sources/GRPC/HTTP2Stream.swift": 4,
    "Sources/GRPC/HeaderBlock.swift": 4,
    "Sources/GRPC/HeaderMemo.swift": 2,
    "Sources/GRPC/MessageDeframer.swift": 1,
    "Sources/GRPC/Metadata.swift": 6,
    "Sources/GRPC/SessionMemory.swift": 2,
    "Sources/HTTP/ContentCoding.swift": 1,
    "Sources/HTTP/HTTP1ServerConnection.swift": 1,
    "Sources/HTTP/HTTPBodyDecoder.swift": 3,
    "Sources/HTTP/HTTPClientCall.swift": 1,
    "Sources/HTTP/HTTPHeadParser.swift": 1,
    "Sources/HTTP/PercentCoding.swift": 1,
    "Sources/MemberStorage/Digest.swift": 2,
    "Sources/MemberStorage/MemberDirectory+Standalone.swift": 1,
    "Sources/MemberStorage/SnapshotRestore.swift": 1,
    "Sources/MemberStorage/StorageVersion.swift": 1,
    "Sources/PeerTransport/Codec/StreamDecoder.swift": 7,
    "Sources/PeerTransport/Codec/StreamEncoder.swift": 1,
    "Sources/PeerTransport/Incoming/SnapshotReceiver.swift": 3,
    "Sources/PeerTransport/Outgoing/Peer.swift": 2,
    "Sources/PeerTransport/Outgoing/PeerLink.swift": 1,
    "Sources/PeerTransport/Outgoing/SnapshotSender.swift": 2,
    "Sources/PeerTransport/Outgoing/StreamReader.swift": 1,
    "Sources/PeerTransport/Outgoing/StreamWriter.swift": 1,
    "Sources/PeerTransport/PeerTransport.swift": 1,
    "Sources/PeerTransport/Values/HumanSize.swift": 1,
    "Sources/PeerTransport/Values/MemberID.swift": 1,
    "Sources/PeerTransport/Values/PeerURL.swift": 1,
    "Sources/PeerTransport/Values/PeerVersion.swift": 1,
    "Sources/PeerTransport/Values/WallClock+Text.swift": 6,
    "Sources/Protobuf/Base64.swift": 6,
    "Sources/Protobuf/JSONNumber.swift": 1,
    "Sources/Protobuf/JSONWriter.swift": 3,
    "Sources/Protobuf/WireReader.swift": 5,
    "Sources/Protobuf/WireSize.swift": 1,
    "Sources/Protobuf/WireVarint.swift": 3,
    "Sources/Protobuf/WireWriter.swift": 5,
    "Sources/WAL/Record.swift": 4,
    "Sources/WAL/SegmentReader.swift": 3,
  ]

  /// A conversion that traps on what does not fit, unless its form shows that everything does.
  private let conversion =
    #/\bU?Int(?:8|16|32|64)?\((?!exactly:|clamping:|truncatingIfNeeded:|bitPattern:|littleEndian:|bigEndian:|ascii:|jsonInteger:|-?\d[\d_x]*\))(?!.*radix:)/#
  /// Counts and sizes of what is in memory, and constants of C, fit.
  private let harmless =
    #/\bU?Int(?:8|16|32|64)?\((?:[\w.$]+\.count|MemoryLayout<[\w.]+>\.size|\w+\.rawValue|U?Int(?:32|64)\.max)\)/#
  /// Numbers read from text, which may be `nil`: bound in a condition, or with a value instead.
  private let bound = #/\blet \w+ = U?Int(?:8|16|32|64)?\([^()]*\)/#
  private let optional = #/\bU?Int(?:8|16|32|64)?\([^()]*\)(?= \?\?|\.map)/#
  private let force = #/\b(?:try|as)!|[\w)\]]!(?![=\w])/#

  /// Lines that may trap and give no reason, by file.
  private func findings(in text: String) -> [Int] {
    let lines = text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
    return lines.indices.filter { at in
      var code = code(lines[at]).replacing(harmless, with: "0").replacing(optional, with: "0")
      if code.contains(#/\b(?:guard|if)\b/#) { code = code.replacing(bound, with: "let") }
      guard code.contains(force) || code.contains(conversion) else { return false }
      return !lines[max(0, at - 2)...at].contains { $0.contains("// checked:") }
    }
  }

  /// A line without its texts and its comment.
  private func code(_ line: String) -> String {
    let bare = line.replacing(#/"(?:\\.|[^"\\])*"/#, with: "\"\"")
    return String(bare.split(separator: "//", maxSplits: 1, omittingEmptySubsequences: false)[0])
  }

  @Test(arguments: targets)
  func numbersFromOutsideAreChecked(_ target: String) {
    let files = TidyTests.sources("Sources/" + target)
    #expect(!files.isEmpty)
    for (path, text) in files where !path.contains("/Generated/") {
      let found = findings(in: text)
      let allowed = Self.known[path, default: 0]
      #expect(
        found.count <= allowed,
        """
        \(path) has \(found.count) lines that may trap on a number or a missing value, \(allowed) are \
        known: \(found.map { String($0 + 1) }.joined(separator: ", ")). Convert with exactly:, clamping: \
        or truncatingIfNeeded:, unwrap with guard, or say in a comment "// checked: why" what makes it \
        safe.
        """)
    }
  }

  /// The rule itself: what it sees and what it lets pass.
  @Test(arguments: [
    ("let size = Int(length)", true), ("let value = try! read()", true),
    ("let call = stream as! Call", true), ("let first = head.first!.isLetter", true),
    ("var peer: Peer!", true), ("return Int(header.size + 1)", true),
    ("guard let size = Int(text), size < 9 else {", false), ("Int(text) ?? 0", false),
    ("let size = Int(exactly: length)", false), ("if a != b { return }", false),
    ("let name = \"Int(x)!\"", false), ("// Int(x) is not code", false),
    ("let many = UInt64(entries.count)", false), ("let id = UInt64(text, radix: 16)", false),
    ("let flags = UInt8(NGHTTP2_FLAG_NONE.rawValue)", false), ("let ten = UInt64(10)", false),
    ("let size = Int(length)  // checked: at most 4 MiB, see above", false),
    ("guard !isEmpty, !(a || b) else { return }", false),
  ])
  func theRuleSees(_ line: String, _ isFound: Bool) {
    #expect(findings(in: line).isEmpty == !isFound)
  }
}
