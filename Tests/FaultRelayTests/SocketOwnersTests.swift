import Foundation
import Testing

@testable import FaultRelay

/// Whose socket it is, asked of the system.
@Suite(.enabled(if: Relay.knowsOwners, "this system does not say who owns a socket"))
struct SocketOwnersTests {
  private let own = ProcessInfo.processInfo.processIdentifier

  /// A socket that is open while `body` runs, by its inode.
  private func withSocket(_ body: (UInt) throws -> Void) throws {
    let made = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    try #require(made >= 0)
    defer { close(made) }
    var status = stat()
    try #require(fstat(made, &status) == 0)
    try body(UInt(status.st_ino))
  }

  @Test func socketsMadeSinceAreFound() throws {
    var owners = SocketOwners()
    for _ in 0..<3 {
      try withSocket { inode in
        // The first process of all has sockets of its own, or none.
        #expect(owners.owner(of: inode, among: ["other": 1, "own": own]) == "own")
        #expect(owners.owner(of: inode, among: ["own": own]) == "own")
      }
    }
  }

  @Test func whoIsNotAskedIsNotTold() throws {
    var owners = SocketOwners()
    try withSocket { inode in
      #expect(owners.owner(of: inode, among: ["own": own]) == "own")
      #expect(owners.owner(of: inode, among: ["other": 1]) == nil)
      #expect(owners.owner(of: inode, among: [:]) == nil)
      // One that was killed and started again has another process, and other sockets.
      #expect(owners.owner(of: inode, among: ["own": 1]) == nil)
    }
  }

  @Test func nobodysSocketIsNobodys() {
    var owners = SocketOwners()
    #expect(owners.owner(of: .max, among: ["own": own]) == nil)
  }
}
