import Bytes
import Concurrency
import EtcdAPI

extension EtcdClient {
  /// An election: of those who campaign under a name, one leads.
  public func election(_ name: Bytes) -> Election { Election(client: self, name: name) }

  /// An election, to take part in or to look at.
  ///
  /// - Source: etcd `client/v3/concurrency/election.go`, with whose users it is shared, and with those of
  ///   `etcdctl elect`.
  public struct Election: Sendable {
    let client: EtcdClient
    /// Its name.
    public let name: Bytes

    /// Who leads, by the key, and what was proclaimed, its value; `nil` when nobody does.
    public func leader() async throws(EtcdClientError) -> Mvccpb.KeyValue? {
      try await client.kv.get(Contender.oldest(name)).kvs.first
    }

    /// Waits until the session leads. Leaders follow each other in the order in which they campaigned.
    /// - Parameter value: what the leader says of itself, an address perhaps.
    /// - Throws: `EtcdClientError`, `cancelled` among them; the candidacy is given up then.
    public func campaign(
      in session: Session, _ value: Bytes
    ) async throws(EtcdClientError) -> Leadership {
      var place = try await Place(session, in: name, value: value)
      do throws(EtcdClientError) {
        if place.value != value {
          try await Leadership(place: place).proclaim(value)
        }
        if !place.isFirst { try await place.wait() }
      } catch {
        // The lease takes the candidacy along should this fail.
        try? await place.leave()
        throw error
      }
      return Leadership(place: place)
    }

    /// Leaders as they come, each with what it proclaims, beginning with the one there is: every walk waits
    /// for the next news. Not every leader of the past is told, the newest always is.
    public func observe() -> Observation { Observation(election: self) }
  }

  /// The lead in an election, until it is resigned or the session ends.
  public struct Leadership: Sendable {
    let place: Place

    /// The key that says who leads.
    public var key: Bytes { place.key }
    /// The fencing token: larger than that of every leader before.
    public var revision: Int64 { place.revision }
    /// The state of the cluster in which the election was won.
    public var header: Etcdserverpb.ResponseHeader { place.header }
    /// True while the lead is held: for transactions that must not happen otherwise.
    public var isLeader: Etcdserverpb.Compare { place.isHeld }

    /// Says something else to those who observe.
    /// - Throws: `notLeader` when the lead was lost.
    @discardableResult
    public func proclaim(
      _ value: Bytes
    ) async throws(EtcdClientError) -> Etcdserverpb.ResponseHeader {
      let answer = try await place.session.client.kv.txn(place.contender.proclamation(value))
      guard answer.succeeded else { throw .notLeader }
      return answer.header ?? .init()
    }

    /// Gives the lead back; nothing when it is not held any more. Runs to its end in a cancelled task.
    public func resign() async throws(EtcdClientError) { try await place.leave() }
  }

  /// The leaders of an election; see `Election.observe()`.
  public struct Observation: AsyncSequence, Sendable {
    /// Key and value of a leader, and the state it was found in.
    public typealias Element = Etcdserverpb.RangeResponse
    public typealias Failure = EtcdClientError

    let election: Election

    /// Begins with the leader that there is.
    public func makeAsyncIterator() -> Iterator { Iterator(election: election) }

    /// Waits for one leader after the other.
    public struct Iterator: AsyncIteratorProtocol, Sendable {
      let election: Election
      private var leader: Bytes?
      private var changes: Watch.Iterator?
      /// What the last update had besides what was told.
      private var rest: ArraySlice<(event: Mvccpb.Event, header: Etcdserverpb.ResponseHeader)> = []

      init(election: Election) { self.election = election }

      /// The next leader, or what the one there is says now; `nil` never.
      public mutating func next() async throws(EtcdClientError) -> Etcdserverpb.RangeResponse? {
        while true {
          do throws(EtcdClientError) {
            if changes == nil, let found = try await look() { return found }
            if let found = try await nextChange() { return found }
          } catch {
            guard case .compacted = error else { throw error }
            forget()
          }
        }
      }

      /// The next leader, or what the one there is says now; `nil` never.
      public mutating func next(
        isolation actor: isolated (any Actor)?
      ) async throws(EtcdClientError) -> Etcdserverpb.RangeResponse? { try await next() }

      private mutating func forget() {
        (leader, changes, rest) = (nil, nil, [])
      }

      /// Finds who leads and watches it from then on, or the whole line when nobody does.
      private mutating func look() async throws(EtcdClientError) -> Etcdserverpb.RangeResponse? {
        let found = try await election.client.kv.get(Contender.oldest(election.name))
        let options = WatchOptions(startRevision: (found.header?.revision ?? 0) &+ 1)
        leader = found.kvs.first?.key
        let keys = leader.map(KeyRange.key) ?? .prefix(election.name.followed(by: "/"))
        changes = election.client.watch(keys, options).makeAsyncIterator()
        return leader == nil ? nil : found
      }

      private mutating func nextChange() async throws(EtcdClientError)
        -> Etcdserverpb.RangeResponse?
      {
        while let (event, header) = rest.popFirst() {
          guard let pair = event.kv else { continue }
          guard event.type == .put else {
            // Who was watched is gone: somebody else leads, or will.
            if leader != nil { forget() }
            return nil
          }
          guard leader != nil else {
            // The first one of an empty line leads, if it is still there.
            forget()
            return nil
          }
          return Etcdserverpb.RangeResponse(header: header, kvs: [pair], count: 1)
        }
        guard let update = try await changes?.next() else { return nil }
        rest = update.events.map { ($0, update.header) }[...]
        return nil
      }
    }
  }
}
