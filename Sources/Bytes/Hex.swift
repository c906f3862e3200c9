extension UInt64 {
  /// 16 lower-case hex digits, as in the names of segments and snapshots.
  public var hex16: String {
    let digits = String(self, radix: 16)
    return String(repeating: "0", count: 16 - digits.count) + digits
  }
}
