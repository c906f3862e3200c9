import Bytes
import EtcdAPI
import MVCC
import Protobuf

/// Names a stream on one hub.
///
/// - Shape: counts up from 1.
public struct WatchStreamID: Hashable, Comparable, Sendable {
  public let rawValue: UInt64
  public init(_ rawValue: UInt64) { self.rawValue = rawValue }
  public static func < (a: WatchStreamID, b: WatchStreamID) -> Bool { a.rawValue < b.rawValue }
}

/// A response on a stream.
public struct WatchMessage: Sendable {
  /// What it tells.
  public enum Content: Sendable {
    case created
    /// Created and cancelled at once.
    case refused(reason: String)
    /// As the client asked for it.
    case canceled
    /// What the watcher was to see next is gone.
    case compacted(revision: Int64)
    /// The history cannot be read.
    case broken(reason: String)
    /// One part of several, unless it is the last, has `more`.
    case events(Bytes, count: Int, more: Bool)
    /// Everything up to the header's revision was sent.
    case progress
  }

  public let stream: WatchStreamID
  /// The watcher as the client names it; −1 = none, or all of the stream.
  public let watchID: Int64
  /// Revision of the header.
  public let revision: Int64
  public let content: Content

  /// What stands for no watcher.
  /// - Source: etcd `clientv3.InvalidWatchID`.
  public static let nobody: Int64 = -1

  /// The encoded WatchResponse in two parts: everything but the events, and those as they are shared.
  /// - Parameter header: with its revision set.
  public func encoded(header: Etcdserverpb.ResponseHeader) -> (head: Bytes, events: Bytes) {
    var response = Etcdserverpb.WatchResponse(header: header, watchID: watchID)
    var shared = Bytes()
    switch content {
    case .created: response.created = true
    case .refused(let reason):
      response.created = true
      response.canceled = true
      response.cancelReason = reason
    case .canceled: response.canceled = true
    case .compacted(let revision):
      response.canceled = true
      response.compactRevision = revision
    case .broken(let reason):
      response.canceled = true
      response.cancelReason = reason
    case .events(let bytes, _, let more):
      response.fragment = more
      shared = bytes
    case .progress: break
    }
    return (response.encoded(), shared)
  }

  /// Bytes that it will take on the stream, about.
  var size: Int {
    if case .events(let bytes, _, _) = content { return bytes.count + 40 }
    return 40
  }
}

/// What a hub wants done, in order.
public struct WatchOutput: Sendable {
  public init() {}
  public var messages: [WatchMessage] = []
  /// History to be read, off the loop; the hub is given what it finds.
  public var scan: HistoryScan?
}
