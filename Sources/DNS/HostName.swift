/// What a name in an answer may be, so that nothing from outside gets into URLs and logs that is no name.
package enum HostName {
  /// Bytes of a whole name and of one label.
  private static let bytes = 253
  private static let labelBytes = 63

  /// - Source: RFC 1035 §2.3.4, with underscores, as Go's `isDomainName` takes them.
  package static func isValid(_ name: String) -> Bool {
    guard !name.isEmpty, name.utf8.count <= bytes else { return false }
    return name.split(separator: ".", omittingEmptySubsequences: false).allSatisfy { label in
      !label.isEmpty && label.utf8.count <= labelBytes
        && label.first != "-" && label.last != "-"
        && label.utf8.allSatisfy { byte in
          switch byte {
          case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"):
            true
          default: false
          }
        }
    }
  }
}
