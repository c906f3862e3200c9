import CNghttp2
import Testing

@testable import GRPC

@Suite struct SessionMemoryTests {
  private static let frameBytes = 16_394

  /// nghttp2 relies on zeros for what it asks zeroed, also when a slot had another session before.
  @Test func blocksOfReusedSlotsAreZero() throws {
    for _ in 0..<200 {
      let memory = SessionMemory()
      let allocator = memory.allocator
      let user = allocator.mem_user_data
      for size in [2_936, 4_096, 1_024, 4_096, 100] {
        let block = try #require(allocator.calloc(1, size, user))
        let bytes = UnsafeMutableRawBufferPointer(start: block, count: size)
        #expect(bytes.allSatisfy { $0 == 0 })
        for index in bytes.indices { bytes[index] = 0xa5 }
        allocator.free(block, user)
      }
      memory.free()
    }
  }

  /// A block may grow, into the heap, and keeps what it holds; blocks never overlap.
  @Test func blocksMoveWithTheirContents() throws {
    let memory = SessionMemory()
    let allocator = memory.allocator
    let user = allocator.mem_user_data
    var blocks: [UnsafeMutableRawBufferPointer] = []
    for (index, size) in [Self.frameBytes, 1_024, 2_936, 1_024, 4_096, Self.frameBytes].enumerated()
    {
      let block = try #require(allocator.realloc(nil, size, user))
      let bytes = UnsafeMutableRawBufferPointer(start: block, count: size)
      for place in bytes.indices { bytes[place] = UInt8(index + 1) }
      blocks.append(bytes)
    }
    for (index, bytes) in blocks.enumerated() {
      #expect(bytes.allSatisfy { $0 == UInt8(index + 1) })
      let larger = try #require(allocator.realloc(bytes.baseAddress, bytes.count * 2, user))
      let moved = UnsafeRawBufferPointer(start: larger, count: bytes.count)
      #expect(moved.allSatisfy { $0 == UInt8(index + 1) })
      allocator.free(larger, user)
    }
    memory.free()
  }
}
