/// A number of bytes for people: `82 kB`, `1.5 GB`, powers of 1000 as etcd logs them.
public enum HumanSize {
  private static let units = ["B", "kB", "MB", "GB", "TB", "PB", "EB"]

  /// The text for a number of bytes.
  public static func text(_ bytes: UInt64) -> String {
    guard bytes >= 10 else { return "\(bytes) B" }
    var unit = 0
    var scale: UInt64 = 1
    while unit + 1 < units.count, bytes / scale >= 1000 {
      scale *= 1000
      unit += 1
    }
    let tenths = UInt64((Double(bytes) / Double(scale) * 10 + 0.5).rounded(.down))
    if tenths < 100 { return "\(tenths / 10).\(tenths % 10) \(units[unit])" }
    // The value is rounded to tenths first and then to the nearest even integer.
    return "\(Int((Double(tenths) / 10).rounded(.toNearestOrEven))) \(units[unit])"
  }
}
