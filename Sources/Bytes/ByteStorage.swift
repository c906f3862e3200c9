/// Tail-allocated memory: what an owned `Bytes` points into. One allocation for object and bytes.
///
/// The memory is written only by its single creator, before the first `Bytes` of that part is
/// handed out.
public final class ByteStorage: ManagedBuffer<Int, UInt8> {
  /// Uninitialised memory for `capacity` bytes.
  @inlinable
  public static func make(capacity: Int) -> ByteStorage {
    let capacity = Swift.max(capacity, 1)
    let made = ByteStorage.create(minimumCapacity: capacity) { _ in capacity }
    return unsafeDowncast(made, to: ByteStorage.self)
  }

  /// The first byte.
  @inlinable
  public var base: UnsafeMutableRawPointer {
    withUnsafeMutablePointerToElements { UnsafeMutableRawPointer($0) }
  }

  /// Bytes that were asked for.
  @inlinable
  public var size: Int { header }
}
