import Synchronization

/// The open connections of a server, whatever they speak, so that it can end them and wait for the last. Any
/// thread.
package final class OpenConnections<Connection: AnyObject & Sendable>: Sendable {
  private struct State {
    var open: [ObjectIdentifier: Connection] = [:]
    var isDraining = false
    var waiting: [CheckedContinuation<Void, Never>] = []
  }
  private let state = Mutex(State())

  package init() {}

  package var count: Int { state.withLock { $0.open.count } }

  /// Adds a connection if it is welcome.
  /// - Parameter isWelcome: told how many there are, and whether they are being ended.
  /// - Returns: whether it was added, and whether they are being ended.
  package func add(
    _ connection: Connection, if isWelcome: (_ count: Int, _ isDraining: Bool) -> Bool
  ) -> (isOpen: Bool, isDraining: Bool) {
    state.withLock { state in
      guard isWelcome(state.open.count, state.isDraining) else { return (false, state.isDraining) }
      state.open[ObjectIdentifier(connection)] = connection
      return (true, state.isDraining)
    }
  }

  /// A connection has closed.
  package func remove(_ id: ObjectIdentifier) {
    let waiting = state.withLock { state in
      state.open[id] = nil
      guard state.open.isEmpty else { return [CheckedContinuation<Void, Never>]() }
      defer { state.waiting = [] }
      return state.waiting
    }
    for continuation in waiting { continuation.resume() }
  }

  /// Begins to end them all, and returns when the last has closed.
  /// - Parameter end: called once for each that is open now; it has to see to it that it closes.
  package func drain(_ end: (Connection) -> Void) async {
    await withCheckedContinuation { done in
      let open = state.withLock { state -> [Connection] in
        state.isDraining = true
        if !state.open.isEmpty { state.waiting.append(done) }
        return Array(state.open.values)
      }
      if open.isEmpty { done.resume() }
      for connection in open { end(connection) }
    }
  }
}
