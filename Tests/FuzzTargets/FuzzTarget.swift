import Bytes

/// One decoder of foreign bytes, as a fuzzer drives it: `run` takes any bytes, and must neither trap, nor hang, nor take
/// memory without end. What it says about them is checked where there is something to say: what was read and written
/// again reads the same.
///
/// `Tests/etcd-fuzz` hands them to libFuzzer, `FuzzTests` replays the corpora in `Tests/FuzzTests/Corpus`.
public struct FuzzTarget: Sendable {
  public let name: String
  /// Bytes from which a fuzzer without a corpus begins.
  public let seeds: [Bytes]
  public let run: @Sendable (Bytes) -> Void

  init(_ name: String, seeds: [Bytes] = [], _ run: @escaping @Sendable (Bytes) -> Void) {
    self.name = name
    self.seeds = seeds
    self.run = run
  }

  public static let all: [FuzzTarget] =
    messages + storage + streams + http + connections + texts + settings + documents

  public static func named(_ name: String) -> FuzzTarget? { all.first { $0.name == name } }
}

/// Cuts bytes as a network does: the first byte says how.
func pieces(_ bytes: Bytes) -> [Bytes] {
  guard let first = bytes.first else { return [] }
  let size = max(1, Int(first))
  return stride(from: 1, to: bytes.count, by: size).map {
    bytes[$0..<min($0 + size, bytes.count)].detached()
  }
}

/// Splits off the first byte as a choice among `count`.
func choice(_ bytes: Bytes, among count: Int) -> (Int, Bytes)? {
  guard let first = bytes.first, count > 0 else { return nil }
  return (Int(first) % count, bytes[1..<bytes.count].detached())
}
