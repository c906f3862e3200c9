/// A number of bytes for people: `82 kB`, `1.5 GB`, in steps of 1000 and two digits at least.
///
/// - Source: go-humanize `Bytes`.
public enum HumanSize {
  private static let units = ["B", "kB", "MB", "GB", "TB", "PB", "EB"]

  /// The text for a number of bytes.
  public static func text(_ bytes: some BinaryInteger) -> String {
    let bytes = UInt64(clamping: bytes)
    guard bytes >= 10 else { return "\(bytes) B" }
    var unit = 0
    var scale: UInt64 = 1
    while unit + 1 < units.count, bytes / scale >= 1000 {
      scale *= 1000
      unit += 1
    }
    // checked: below 10,000
    let tenths = UInt64((Double(bytes) / Double(scale) * 10 + 0.5).rounded(.down))
    if tenths < 100 { return "\(tenths / 10).\(tenths % 10) \(units[unit])" }
    // The value is rounded to tenths first and then to the nearest even integer.
    // checked: as above
    return "\(Int((Double(tenths) / 10).rounded(.toNearestOrEven))) \(units[unit])"
  }
}
