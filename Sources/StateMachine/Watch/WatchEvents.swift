import Bytes
import EtcdAPI
import MVCC
import Protobuf

/// Which events a watcher wants, and how.
public struct WatchOptions: OptionSet, Hashable, Sendable {
  public let rawValue: UInt8
  public init(rawValue: UInt8) { self.rawValue = rawValue }

  public static let noPuts = WatchOptions(rawValue: 1)
  public static let noDeletions = WatchOptions(rawValue: 2)
  /// Each event brings the pair that was there before.
  public static let previous = WatchOptions(rawValue: 4)
  /// Empty responses tell of progress now and then.
  public static let progress = WatchOptions(rawValue: 8)
  /// Large responses come in parts.
  public static let fragments = WatchOptions(rawValue: 16)

  /// What decides about the bytes of events: watchers that agree in it share them.
  var contents: WatchOptions { intersection([.noPuts, .noDeletions, .previous]) }

  func wants(_ row: ChangedRow) -> Bool { !contains(row.isTombstone ? .noDeletions : .noPuts) }

  init(_ request: Etcdserverpb.WatchCreateRequest) {
    self = []
    for filter in request.filters {
      switch filter {
      case .noput: insert(.noPuts)
      case .nodelete: insert(.noDeletions)
      default: break
      }
    }
    if request.prevKv { insert(.previous) }
    if request.progressNotify { insert(.progress) }
    if request.fragment { insert(.fragments) }
  }
}

/// Events in order, as fields `events` of a WatchResponse: encoded once, whoever they are sent to.
public struct EncodedEvents: Sendable {
  public let bytes: Bytes
  public let count: Int
  /// Revisions of the first and the last event.
  public let first: Int64
  public let last: Int64

  /// Cuts the events into parts of at most `bytesMax`, or of one event.
  ///
  /// - Source: etcd `v3rpc/watch.go` sendFragments.
  public func parts(of bytesMax: Int) -> [Bytes] {
    guard bytes.count > bytesMax, count > 1 else { return [bytes] }
    var parts: [Bytes] = []
    var start = 0
    var end = 0
    var reader = ByteReader(bytes)
    while reader.readByte() != nil, let size = reader.readVarint().flatMap({ Int(exactly: $0) }),
      reader.skip(size)
    {
      let next = reader.position
      if end > start, next - start > bytesMax {
        parts.append(bytes[start..<end])
        start = end
      }
      end = next
    }
    parts.append(bytes[start..<end])
    return parts
  }
}

/// Collects events in their encoded form.
///
/// - Source: mvccpb.Event {type 1, kv 2, prev_kv 3}; etcd `mvcc/watchable_store.go` kvsToEvents: the pair of a
///   deletion has its key and the revision of the deletion.
final class EventWriter {
  private var writer = ByteWriter(capacity: 0)
  private(set) var count = 0
  private var first: Int64 = 0
  private var last: Int64 = 0

  private static let eventsTag: UInt8 = 11 << 3 | 2
  private static let typeTag: UInt8 = 1 << 3
  private static let pairTag: UInt8 = 2 << 3 | 2
  private static let previousTag: UInt8 = 3 << 3 | 2
  private static let modRevisionTag: UInt8 = 3 << 3
  private static let deletion: UInt8 = 1

  var bytes: Int { writer.count }

  func append(_ row: ChangedRow, previous: Bytes?) {
    if count == 0 { first = row.revision.main }
    precondition(row.revision.main >= last, "events out of order")
    last = row.revision.main
    count += 1
    let main = UInt64(bitPattern: row.revision.main)
    let pairBytes = row.pair.count + (row.isTombstone ? 1 + WireSize.of(main) : 0)
    var size = 1 + WireSize.delimited(pairBytes)
    if row.isTombstone { size += 2 }
    if let previous { size += 1 + WireSize.delimited(previous.count) }
    writer.append(Self.eventsTag)
    writer.appendVarint(UInt64(size))
    if row.isTombstone {
      writer.append(Self.typeTag)
      writer.append(Self.deletion)
    }
    writer.append(Self.pairTag)
    writer.appendVarint(UInt64(pairBytes))
    writer.append(row.pair)
    if row.isTombstone {
      writer.append(Self.modRevisionTag)
      writer.appendVarint(main)
    }
    if let previous {
      writer.append(Self.previousTag)
      writer.appendVarint(UInt64(previous.count))
      writer.append(previous)
    }
  }

  /// `nil` when nothing was appended. Nothing may be appended afterwards.
  func finish() -> EncodedEvents? {
    guard count > 0 else { return nil }
    var whole = ByteWriter(capacity: 0)
    swap(&whole, &writer)
    return EncodedEvents(bytes: whole.finish(), count: count, first: first, last: last)
  }
}
