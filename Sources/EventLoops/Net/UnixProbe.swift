import Platform

/// Finds out whether a unix socket file has a listener.
enum UnixProbe {
  static func nobodyListens(_ path: String) -> Bool {
    switch LocalSocket.connect(to: path) {
    case .connected(let descriptor):
      Descriptor.close(descriptor)
      return false
    case .refused: return true
    case .failed: return false
    }
  }
}
