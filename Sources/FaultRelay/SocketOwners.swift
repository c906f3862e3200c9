import CFaultRelay

/// Which of some processes has a socket open.
///
/// Members dial each other all at once when they start. What a process had open is remembered, so that it is read once
/// for many connections: sockets' inodes count up over the whole system, and none comes again.
struct SocketOwners {
  /// Of one process. With more than these the rest is nobody's, and its connections are taken for clients'.
  private static let socketsMax = 65_536

  /// Inodes by process, as last read.
  private var sockets: [Int32: Set<UInt>] = [:]

  /// - Parameters:
  ///   - inode: of the socket.
  ///   - processes: to be asked, by the name of their owner.
  /// - Returns: the owner's name.
  mutating func owner(of inode: UInt, among processes: [String: Int32]) -> String? {
    let known = processes.first { sockets[$0.value]?.contains(inode) == true }
    if let known { return known.key }
    let living = Set(processes.values)
    sockets = sockets.filter { living.contains($0.key) }
    for (name, process) in processes {
      let open = Self.sockets(of: process)
      sockets[process] = open
      if open.contains(inode) { return name }
    }
    return nil
  }

  private static func sockets(of process: Int32) -> Set<UInt> {
    Set(
      [UInt](unsafeUninitializedCapacity: socketsMax) { buffer, count in
        // checked: it returns what it was given room for at most
        count = Int(fault_relay_sockets(process, buffer.baseAddress, Int32(socketsMax)))
      })
  }
}
