import Bytes
import EtcdAPI

extension EtcdClient.KV {
  /// In which order keys are read.
  public struct Order: Sendable, Hashable {
    let direction: Etcdserverpb.RangeRequest.SortOrder
    let target: Etcdserverpb.RangeRequest.SortTarget

    /// From the smallest.
    public static func ascending(_ target: Etcdserverpb.RangeRequest.SortTarget) -> Order {
      Order(direction: .ascend, target: target)
    }

    /// From the largest.
    public static func descending(_ target: Etcdserverpb.RangeRequest.SortTarget) -> Order {
      Order(direction: .descend, target: target)
    }
  }

  /// Reads many keys in parts, all of them from the same state, in the order of keys.
  /// - Parameters:
  ///   - pageSize: how many keys a part has at most, one at least.
  ///   - revision: the state to read; 0 for the newest when a walk begins.
  ///   - serializable: whether one member's state will do, which may be an older one.
  ///   - keysOnly: whether values are left out.
  /// - Returns: a sequence whose every walk reads anew; it throws `EtcdClientError`, `refused(.compacted)`
  ///   when the state was forgotten while it was read.
  public func pages(
    _ keys: KeyRange, pageSize: Int64 = 1000, revision: Int64 = 0, serializable: Bool = false,
    keysOnly: Bool = false
  ) -> Pages {
    Pages(
      kv: self,
      first: Etcdserverpb.RangeRequest(
        key: keys.key, rangeEnd: keys.end, limit: Swift.max(1, pageSize), revision: revision,
        serializable: serializable, keysOnly: keysOnly))
  }

  /// The parts of a range; see `pages(_:pageSize:revision:serializable:keysOnly:)`.
  public struct Pages: AsyncSequence, Sendable {
    public typealias Element = Etcdserverpb.RangeResponse
    public typealias Failure = EtcdClientError

    let kv: EtcdClient.KV
    let first: Etcdserverpb.RangeRequest

    /// Begins a reading of its own.
    public func makeAsyncIterator() -> Iterator { Iterator(kv: kv, request: first) }

    /// Asks for part after part.
    public struct Iterator: AsyncIteratorProtocol, Sendable {
      let kv: EtcdClient.KV
      /// What to ask next; `nil` behind the last part.
      var request: Etcdserverpb.RangeRequest?

      /// The next part, the first of which may be empty; `nil` behind the last one.
      public mutating func next() async throws(EtcdClientError) -> Etcdserverpb.RangeResponse? {
        guard var asked = request else { return nil }
        let page = try await kv.get(asked)
        if page.more, let last = page.kvs.last {
          // The first key behind one is the same with a zero byte.
          asked.key = last.key.followed(by: [0])
          if asked.revision == 0 { asked.revision = page.header?.revision ?? 0 }
          request = asked
        } else {
          request = nil
        }
        return page
      }

      /// The next part, the first of which may be empty; `nil` behind the last one.
      public mutating func next(
        isolation actor: isolated (any Actor)?
      ) async throws(EtcdClientError) -> Etcdserverpb.RangeResponse? { try await next() }
    }
  }
}
