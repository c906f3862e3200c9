import Bytes
import CZlib
import HTTP

/// gzip through zlib.
enum Gzip {
  /// 15 bits of window, plus 16 for the gzip wrapper.
  private static let windowBits: Int32 = 31

  /// - Throws: Internal when malformed, ResourceExhausted when the content exceeds `limit`.
  static func decompress(_ bytes: Bytes, limit: Int) throws(GRPCStatus) -> Bytes {
    var stream = z_stream()
    guard
      inflateInit2_(&stream, windowBits, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size)) == Z_OK
    else { throw GRPCStatus(.internal, "grpc: failed to decompress the received message") }
    defer { inflateEnd(&stream) }
    var out = ByteWriter(capacity: min(limit, bytes.count * 4) + 64)
    var result = Z_OK
    bytes.withUnsafeBytes { input in
      stream.next_in = UnsafeMutablePointer(
        mutating: input.baseAddress!.assumingMemoryBound(to: UInt8.self))
      stream.avail_in = UInt32(input.count)
      withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 16_384) { block in
        repeat {
          stream.next_out = block.baseAddress
          stream.avail_out = UInt32(block.count)
          result = inflate(&stream, Z_NO_FLUSH)
          out.append(
            UnsafeRawBufferPointer(
              rebasing: UnsafeRawBufferPointer(block)[
                ..<(block.count - Int(stream.avail_out))]))
        } while result == Z_OK && out.count <= limit
      }
    }
    guard out.count <= limit else {
      throw GRPCStatus(
        .resourceExhausted,
        "grpc: received message after decompression larger than max (\(out.count) vs. \(limit))")
    }
    guard result == Z_STREAM_END else {
      throw GRPCStatus(
        .internal, "grpc: failed to decompress the received message: gzip: invalid data")
    }
    return out.finish()
  }

  /// Compresses at zlib's standard level; `nil` when zlib has no memory.
  static func compress(_ parts: [Bytes]) -> Bytes? { GzipCoding.compress(parts) }
}
