import EventLoops
import TestSupport
import Testing

@testable import Calls

@Suite(.timeLimit(.minutes(5))) struct SendGateTests {
  /// The queue may have drained between a writer's look at it and its registration; nothing would
  /// open the gate for it again.
  @Test func whoComesTooLateDoesNotWait() async throws {
    try await withLoop { loop in
      let gate = SendGate(loop: loop)
      try await gate.wait { false }
      #expect(gate.isEmpty)
    }
  }

  @Test func openLetsWritersGoOn() async throws {
    try await withLoop { loop in
      let gate = SendGate(loop: loop)
      open(gate, loop)
      try await gate.wait { true }
      #expect(gate.isEmpty)
    }
  }

  @Test func failureReachesWriters() async throws {
    try await withLoop { loop in
      let gate = SendGate(loop: loop)
      open(gate, loop, .cancelled)
      await #expect(throws: GRPCStatus.self) { try await gate.wait { true } }
    }
  }

  /// Opens the gate as soon as somebody waits.
  private func open(_ gate: SendGate, _ loop: EventLoop, _ status: GRPCStatus? = nil) {
    loop.execute {
      if gate.isEmpty { open(gate, loop, status) } else { gate.open(status) }
    }
  }
}
