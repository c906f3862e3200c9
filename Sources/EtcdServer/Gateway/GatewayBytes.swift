/// Memory that the clients of a loop share. Confined to the loop.
final class GatewayBytes {
  private let max: Int
  private(set) var held = 0

  init(max: Int) { self.max = max }

  /// - Returns: false, and takes nothing, when there is no room.
  func take(_ bytes: Int) -> Bool {
    guard bytes <= max - held else { return false }
    held += bytes
    return true
  }

  func give(_ bytes: Int) { held -= bytes }
}

/// What one client has of it, as that changes. Given back with the share.
final class GatewayShare {
  private let all: GatewayBytes
  private var bytes = 0
  /// Little is never refused: everybody holds some.
  private static let freeBytes = 16 << 10

  init(of all: GatewayBytes) { self.all = all }
  deinit { all.give(bytes) }

  /// - Returns: false when there is no room; the share is as it was.
  func hold(_ wanted: Int) -> Bool {
    let wanted = wanted <= Self.freeBytes ? 0 : wanted
    guard wanted > bytes else {
      all.give(bytes - wanted)
      bytes = wanted
      return true
    }
    guard all.take(wanted - bytes) else { return false }
    bytes = wanted
    return true
  }
}
