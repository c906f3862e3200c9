/// Text in text, byte by byte, as Go's package `strings` looks for it.
///
/// The standard library's own searches come with its regular expressions, a megabyte in each program, and compare
/// characters: an accent behind `://` would hide it.
extension StringProtocol {
  /// The first place of `part`, which is not empty; `nil` when it is not there. Go's `strings.Index`.
  public func place(of part: String) -> Range<Index>? {
    let bytes = part.utf8
    guard let first = bytes.first else { return nil }
    var rest = utf8[...]
    while let start = rest.firstIndex(of: first) {
      rest = rest[start...]
      if rest.starts(with: bytes) { return start..<rest.index(start, offsetBy: bytes.count) }
      rest = rest.dropFirst()
    }
    return nil
  }

  /// Whether `part`, which is not empty, is in it. Go's `strings.Contains`.
  public func holds(_ part: String) -> Bool { place(of: part) != nil }

  /// What stands between the places of `separator`, one more than there are of them. Go's `strings.Split`.
  public func pieces(between separator: String) -> [SubSequence] {
    var pieces: [SubSequence] = []
    var rest = self[...]
    while let place = rest.place(of: separator) {
      pieces.append(rest[..<place.lowerBound])
      rest = rest[place.upperBound...]
    }
    pieces.append(rest)
    return pieces
  }
}
