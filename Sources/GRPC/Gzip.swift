import Bytes
import CZlib
import Calls
import HTTP
import Protobuf

/// gzip of messages, in one piece.
enum Gzip {
  /// - Throws: Internal when malformed, ResourceExhausted when the content exceeds `limit`.
  static func decompress(_ bytes: Bytes, limit: Int) throws(GRPCStatus) -> Bytes {
    let inflater = try Inflater(bytes, limit: limit)
    while true {
      if let content = try inflater.step(1 << 20) { return content }
    }
  }

  /// Compresses at zlib's standard level; `nil` when zlib has no memory.
  static func compress(_ parts: [Bytes]) -> Bytes? { GzipCoding.compress(parts) }
}

/// One gzip message that is inflated step by step.
final class Inflater: @unchecked Sendable {
  // @unchecked: owned by one thread at a time; a loop hands it to the worker and does not touch it again.
  private let input: Bytes
  private let limit: Int
  private let stream = UnsafeMutablePointer<z_stream>.allocate(capacity: 1)
  private var used = 0
  private var out: ByteWriter

  /// 15 bits of window, plus 16 for the gzip wrapper.
  private static let windowBits: Int32 = 31
  private static let blockBytes = 16_384
  /// What deflate makes of one byte at most.
  private static let ratioMax = 1_032

  /// - Throws: Internal when zlib has no memory.
  init(_ input: Bytes, limit: Int) throws(GRPCStatus) {
    self.input = input
    self.limit = limit
    out = ByteWriter(capacity: min(Self.contentBytesMax(input.count, limit), 16_384) + 64)
    stream.initialize(to: z_stream())
    guard
      inflateInit2_(stream, Self.windowBits, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size))
        == Z_OK
    else { throw GRPCStatus(.internal, "grpc: failed to decompress the received message") }
  }

  deinit {
    inflateEnd(stream)
    stream.deallocate()
  }

  /// Bytes that a message of `count` bytes can become.
  static func contentBytesMax(_ count: Int, _ limit: Int) -> Int {
    let (product, overflow) = count.multipliedReportingOverflow(by: ratioMax)
    return overflow ? limit : min(product, limit)
  }

  /// Goes on until about `most` more bytes have come out.
  /// - Returns: the content when it is complete.
  /// - Throws: Internal when malformed, ResourceExhausted when the content exceeds the limit.
  func step(_ most: Int) throws(GRPCStatus) -> Bytes? {
    let end = out.count + min(most, limit)
    var result = Z_OK
    while result == Z_OK && out.count <= limit && out.count < end { result = inflateBlock() }
    guard out.count <= limit else {
      throw GRPCStatus(
        .resourceExhausted,
        "grpc: received message after decompression larger than max (\(out.count) vs. \(limit))")
    }
    if result == Z_OK { return nil }
    guard result == Z_STREAM_END else {
      throw GRPCStatus(
        .internal, "grpc: failed to decompress the received message: gzip: invalid data")
    }
    var content = ByteWriter(capacity: 0)
    swap(&content, &out)
    return content.finish()
  }

  private func inflateBlock() -> Int32 {
    input.withUnsafeBytes { memory in
      // zlib's counter has 32 bits, as has the length of a message.
      let size = min(input.count - used, Int(UInt32.max))
      stream.pointee.next_in = UnsafeMutablePointer(
        mutating: memory.baseAddress!.assumingMemoryBound(to: UInt8.self) + used)
      stream.pointee.avail_in = UInt32(size)
      return withUnsafeTemporaryAllocation(of: UInt8.self, capacity: Self.blockBytes) { block in
        stream.pointee.next_out = block.baseAddress
        stream.pointee.avail_out = UInt32(block.count)
        let result = inflate(stream, Z_NO_FLUSH)
        used += size - Int(stream.pointee.avail_in)
        let count = block.count - Int(stream.pointee.avail_out)
        out.append(UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(block)[..<count]))
        return result
      }
    }
  }
}
