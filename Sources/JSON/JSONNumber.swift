/// Integers from JSON numbers.
public enum JSONNumber {
  /// The value of a JSON number that is written as an integer, in the range of `T`.
  ///
  /// `nil` for whatever else: `1.0` and `1e3` are no integers.
  /// - Source: Go `encoding/json`, which reads them with `strconv.ParseInt` and `ParseUint`.
  public static func integer<T: FixedWidthInteger>(_ text: String) -> T? {
    let isNegative = text.utf8.first == UInt8(ascii: "-")
    if isNegative, !T.isSigned { return nil }
    let digits = isNegative ? text.utf8.dropFirst() : text.utf8[...]
    guard let first = digits.first, first != UInt8(ascii: "+") else { return nil }
    if first == UInt8(ascii: "0"), digits.count > 1 { return nil }
    return T(text)
  }
}
