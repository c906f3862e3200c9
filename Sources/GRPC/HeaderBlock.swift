import Bytes
import CNghttp2
import Calls
import Protobuf

/// Header fields on their way to nghttp2, which copies them unless they are immortal.
struct HeaderBlock {
  private var fields: [(name: Bytes, value: Bytes)] = []

  mutating func add(_ name: Bytes, _ value: Bytes) { fields.append((name, value)) }

  mutating func add(_ metadata: Metadata) {
    for field in metadata.fields where !Metadata.isReserved(field.name) {
      if Metadata.isBinary(field.name) {
        fields.append((field.name, Metadata.encodeBinary(field.value)))
      } else if field.value.allSatisfy({ $0 >= 0x20 && $0 < 0x7f }) {
        fields.append((field.name, field.value))
      }
    }
  }

  mutating func add(_ status: GRPCStatus) {
    fields.append(("grpc-status", Bytes(String(status.code.rawValue))))
    if !status.message.isEmpty {
      fields.append(("grpc-message", PercentCoding.encode(status.message)))
    }
    if let details = status.details {
      fields.append(("grpc-status-details-bin", Metadata.encodeBinary(details)))
    }
  }

  /// Calls `body` with nghttp2's form; valid only inside.
  func withNV<R>(_ body: (UnsafePointer<nghttp2_nv>, Int) -> R) -> R {
    withUnsafeTemporaryAllocation(of: nghttp2_nv.self, capacity: fields.count) { list in
      for (index, field) in fields.enumerated() {
        list.initializeElement(at: index, to: NV.make(field.name, field.value))
      }
      // `fields` owns the memory during the call.
      return withExtendedLifetime(fields) { body(UnsafePointer(list.baseAddress!), fields.count) }
    }
  }
}

/// nghttp2's form of a header field.
enum NV {
  static func make(_ name: Bytes, _ value: Bytes, flags: Int = 0) -> nghttp2_nv {
    name.withUnsafeBytes { name in
      value.withUnsafeBytes { value in
        nghttp2_nv(
          name: pointer(name), value: pointer(value), namelen: name.count, valuelen: value.count,
          flags: UInt8(flags))
      }
    }
  }

  private static func pointer(_ memory: UnsafeRawBufferPointer) -> UnsafeMutablePointer<UInt8> {
    // nghttp2's type is not const but it only reads.
    UnsafeMutableRawPointer(mutating: memory.baseAddress ?? UnsafeRawPointer(bitPattern: 16)!)
      .assumingMemoryBound(to: UInt8.self)
  }

  private static func table(_ fields: [(Bytes, Bytes)]) -> UnsafePointer<nghttp2_nv> {
    let list = UnsafeMutablePointer<nghttp2_nv>.allocate(capacity: fields.count)
    let flags = Int(
      NGHTTP2_NV_FLAG_NO_COPY_NAME.rawValue | NGHTTP2_NV_FLAG_NO_COPY_VALUE.rawValue)
    for (index, field) in fields.enumerated() {
      (list + index).initialize(to: make(field.0, field.1, flags: flags))
    }
    return UnsafePointer(list)
  }

  // Built from string literals, whose memory lives as long as the process; never freed.
  /// Head of an ordinary reply: 2 fields.
  nonisolated(unsafe) static let replyHead = table([
    (":status", "200"), ("content-type", "application/grpc"),
  ])
  /// Trailers of an ordinary reply: 1 field.
  nonisolated(unsafe) static let replyOK = table([("grpc-status", "0")])
}
