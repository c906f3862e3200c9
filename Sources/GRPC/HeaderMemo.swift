import Bytes
import CNghttp2
import Calls

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// What a header field of a request means to the server.
enum HeaderMeaning {
  case post
  /// `content-type: application/grpc` exactly.
  case grpcContent
  case ignored
  case metadata(Metadata.Field)
}

/// What a client repeats in every request: HPACK gives the same two buffers again, so their meaning
/// is found by address instead of being decoded. Holds references on the buffers of 16 fields.
///
/// Confined to its connection's loop.
final class HeaderMemo {
  struct Slot {
    fileprivate var name: OpaquePointer?
    fileprivate var value: OpaquePointer?
    /// Size of the field as HTTP/2 counts it.
    var size = 0
    var meaning = HeaderMeaning.ignored
  }

  private static let count = 16
  /// Slots in which a field may lie.
  private static let group = 4
  private let slots: UnsafeMutablePointer<Slot>
  private var lastPath = Bytes()
  private var lastRoute: CallRouter.Route?
  /// What the request before carried; the same again is shared.
  var lastMetadata = Metadata()

  init() {
    slots = .allocate(capacity: Self.count)
    slots.initialize(repeating: Slot(), count: Self.count)
  }

  deinit {
    removeAll()
    slots.deinitialize(count: Self.count)
    slots.deallocate()
  }

  @inline(__always)
  private func first(_ name: OpaquePointer, _ value: OpaquePointer) -> UnsafeMutablePointer<Slot> {
    // Buffers lie at least 16 bytes apart.
    let mixed = Int(bitPattern: name) >> 4 &+ Int(bitPattern: value) >> 5
    return slots + ((mixed ^ mixed >> 4 ^ mixed >> 8) & (Self.count / Self.group - 1)) * Self.group
  }

  /// What is remembered; `nil` when nothing is.
  @inline(__always)
  func find(_ name: OpaquePointer, _ value: OpaquePointer) -> UnsafePointer<Slot>? {
    let group = first(name, value)
    for index in 0..<Self.group
    where group[index].name == name && group[index].value == value {
      return UnsafePointer(group + index)
    }
    return nil
  }

  /// Remembers a meaning, in place of another one when there is no room.
  func remember(_ name: OpaquePointer, _ value: OpaquePointer, _ meaning: HeaderMeaning) {
    let group = first(name, value)
    let free = (0..<Self.group).first { group[$0].name == nil }
    let slot = group + (free ?? Int(bitPattern: value) >> 5 & (Self.group - 1))
    nghttp2_rcbuf_incref(name)
    nghttp2_rcbuf_incref(value)
    release(slot)
    slot.pointee = Slot(name: name, value: value, size: headerSize(name, value), meaning: meaning)
  }

  /// The route of a path; the last one is found without hashing.
  func route(_ path: UnsafeBufferPointer<UInt8>, _ router: CallRouter) -> CallRouter.Route? {
    let isSame = lastPath.withUnsafeBytes { known in
      // An empty buffer may have no address.
      known.count == path.count
        && (path.isEmpty || memcmp(known.baseAddress!, path.baseAddress!, known.count) == 0)
    }
    if isSame, let lastRoute { return lastRoute }
    let copied = Bytes(copying: UnsafeRawBufferPointer(path))
    guard let route = router.route(copied) else { return nil }
    lastPath = copied
    lastRoute = route
    return route
  }

  private func release(_ slot: UnsafeMutablePointer<Slot>) {
    if let name = slot.pointee.name { nghttp2_rcbuf_decref(name) }
    if let value = slot.pointee.value { nghttp2_rcbuf_decref(value) }
    slot.pointee = Slot()
  }

  /// Gives all buffers back; before the session is deleted.
  func removeAll() {
    for index in 0..<Self.count { release(slots + index) }
  }
}

/// The bytes of one of nghttp2's buffers; valid while the buffer is.
func bytes(of buffer: OpaquePointer) -> UnsafeBufferPointer<UInt8> {
  let vector = nghttp2_rcbuf_get_buf(buffer)
  return UnsafeBufferPointer(start: vector.base, count: vector.len)
}

/// Which header fields the protocol itself uses.
enum ReservedHeader {
  case path, method, contentType, encoding, timeout, metadata
  /// Of no use to the server, and the same in every request.
  case ignored
  /// Of no use to the server, and different in every request.
  case unindexed

  init(_ name: UnsafeBufferPointer<UInt8>) {
    @inline(__always)
    func matches(_ text: StaticString) -> Bool {
      memcmp(name.baseAddress!, text.utf8Start, text.utf8CodeUnitCount) == 0
    }
    self = .metadata
    switch name.count {
    case 2: if matches("te") { self = .ignored }
    case 5: if matches(":path") { self = .path }
    case 7:
      if matches(":method") { self = .method } else if matches(":scheme") { self = .ignored }
    case 12:
      if matches("content-type") {
        self = .contentType
      } else if matches("grpc-timeout") {
        self = .timeout
      }
    case 13: if matches("grpc-encoding") { self = .encoding }
    case 14: if matches("content-length") { self = .unindexed }
    case 20: if matches("grpc-accept-encoding") { self = .ignored }
    default: break
    }
  }
}
