import Foundation

/// A directory that is removed with the test.
public final class Scratch: Sendable {
  public let path: String

  public init() {
    path = NSTemporaryDirectory() + "etcd-test-" + UUID().uuidString
    try! FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }
}
