import Testing

@testable import GRPC

/// The end of a connection, without a connection.
@Suite struct DrainMachineTests {
  @Test func callsUnderWayEndBeforeTheConnection() {
    var machine = DrainMachine()
    #expect(machine.callsChanged(running: 0) == .nothing && machine.acceptsCalls)
    #expect(machine.begin() == .announce)
    #expect(machine.begin() == .nothing, "asked twice")
    // A call that was on its way to us.
    #expect(machine.acceptsCalls && machine.callsChanged(running: 1) == .nothing)
    #expect(machine.announcementSeen() == .refuse)
    #expect(machine.announcementSeen() == .nothing)
    #expect(!machine.acceptsCalls && machine.callsChanged(running: 1) == .nothing)
    #expect(machine.callsChanged(running: 0) == .close)
    #expect(machine.callsChanged(running: 0) == .nothing, "closed once")
    machine.closed()
    #expect(machine.graceEnded() == .nothing)
  }

  @Test func anIdleConnectionClosesWhenItsClientKnows() {
    var machine = DrainMachine()
    #expect(machine.begin() == .announce)
    #expect(machine.callsChanged(running: 0) == .nothing, "the client may have sent one")
    #expect(machine.announcementSeen() == .refuse)
    #expect(machine.callsChanged(running: 0) == .close)
  }

  @Test func graceEndsEverythingButAnOpenConnection() {
    var machine = DrainMachine()
    #expect(machine.graceEnded() == .nothing)
    for steps in 1...3 {
      machine = DrainMachine()
      if steps > 0 { _ = machine.begin() }
      if steps > 1 { _ = machine.announcementSeen() }
      if steps > 2 { _ = machine.callsChanged(running: 0) }
      #expect(machine.graceEnded() == .abort)
      #expect(!machine.acceptsCalls && machine.state == .closing)
    }
  }

  /// Whatever happens in whatever order: no call begins after the second GOAWAY, which goes out once.
  @Test func anyOrderOfEventsEnds() {
    var random = SystemRandomNumberGenerator()
    for _ in 0..<2_000 {
      var machine = DrainMachine()
      var seen: [DrainMachine.Action] = []
      for _ in 0..<10 {
        let refused = seen.contains(.refuse)
        switch Int.random(in: 0..<4, using: &random) {
        case 0: seen.append(machine.begin())
        case 1: seen.append(machine.announcementSeen())
        case 2: seen.append(machine.callsChanged(running: .random(in: 0...2)))
        default: seen.append(machine.graceEnded())
        }
        if refused { #expect(!machine.acceptsCalls) }
      }
      for action in [DrainMachine.Action.announce, .refuse, .close] {
        #expect(seen.filter { $0 == action }.count <= 1)
      }
    }
  }
}
