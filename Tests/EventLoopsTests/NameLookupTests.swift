import EventLoops
import TestSupport
import Testing

/// Questions to the system's resolver, as far as its file of hosts answers them.
@Suite struct NameLookupTests {
  @Test func namesOfAnAddress() async throws {
    let names = try await withLoop { loop in
      await withCheckedContinuation { done in
        NameLookup.names(of: "127.0.0.1", loop: loop) { done.resume(returning: $0) }
      }
    }
    #expect(names.contains("localhost"))
  }

  @Test func whatIsNoAddressHasNone() async throws {
    let names = try await withLoop { loop in
      await withCheckedContinuation { done in
        NameLookup.names(of: "localhost", loop: loop) { done.resume(returning: $0) }
      }
    }
    #expect(names.isEmpty)
  }
}
