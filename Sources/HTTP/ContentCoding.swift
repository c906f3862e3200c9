import Bytes
import CZlib

/// Compression in the gzip format, for HTTP contents and gRPC messages alike.
public enum GzipCoding {
  /// 15 bits of window, plus 16 for the gzip wrapper.
  static let windowBits: Int32 = 31
  /// Input handed to zlib at once; its counter has 32 bits.
  private static let inputBytesMax = 1 << 30

  /// Compresses the parts, taken as one text, at zlib's standard level; `nil` when zlib has no memory.
  public static func compress(_ parts: [Bytes]) -> Bytes? {
    var stream = z_stream()
    guard
      deflateInit2_(
        &stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, windowBits, 8, Z_DEFAULT_STRATEGY,
        ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size)) == Z_OK
    else { return nil }
    defer { deflateEnd(&stream) }
    var out = ByteWriter(capacity: 1_024)
    for part in parts {
      for start in stride(from: 0, to: part.count, by: inputBytesMax) {
        let end = start + min(inputBytesMax, part.count - start)
        deflate(part[start..<end], Z_NO_FLUSH, &stream, &out)
      }
    }
    deflate(Bytes(), Z_FINISH, &stream, &out)
    return out.finish()
  }

  private static func deflate(
    _ part: Bytes, _ flush: Int32, _ stream: inout z_stream, _ out: inout ByteWriter
  ) {
    part.withUnsafeBytes { input in
      stream.next_in = UnsafeMutablePointer(
        mutating: input.baseAddress?.assumingMemoryBound(to: UInt8.self))
      stream.avail_in = UInt32(input.count)
      withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 16_384) { block in
        repeat {
          stream.next_out = block.baseAddress
          stream.avail_out = UInt32(block.count)
          CZlib.deflate(&stream, flush)
          let count = block.count - Int(stream.avail_out)
          out.append(UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(block)[..<count]))
        } while stream.avail_out == 0
      }
    }
  }
}

extension HTTPHeaders {
  /// Whether `Accept-Encoding` asks for gzip.
  /// - Source: RFC 9110 §12.5.3: listed, or `*`, and not with a weight of zero.
  public var acceptsGzip: Bool {
    var accepted: Bool?
    for value in all("accept-encoding") {
      for item in value.split(separator: ",") {
        let parts = item.split(separator: ";").map { String($0.withoutOptionalSpace) }
        guard let name = parts.first else { continue }
        let weighsNothing = parts.dropFirst().contains { Self.isZeroWeight($0) }
        if Self.same(name, "gzip") { return !weighsNothing }
        if name == "*" { accepted = !weighsNothing }
      }
    }
    return accepted ?? false
  }

  /// `q=0` with any number of zeros behind the point.
  private static func isZeroWeight(_ parameter: String) -> Bool {
    guard parameter.hasPrefix("q=") || parameter.hasPrefix("Q=") else { return false }
    return parameter.dropFirst(2).allSatisfy { $0 == "0" || $0 == "." }
  }
}

extension HTTPExchange {
  /// The whole response, its body in the gzip coding where the client asks for it.
  public func respondCompressed(status: Int, headers: HTTPHeaders = [:], body: Bytes) {
    guard request.headers.acceptsGzip, let packed = GzipCoding.compress([body]) else {
      return respond(status: status, headers: headers, body: body)
    }
    var headers = headers
    headers.set("Content-Encoding", "gzip")
    headers.add("Vary", "Accept-Encoding")
    respond(status: status, headers: headers, body: packed)
  }
}
