import Bytes
import EtcdAPI
import MVCC

/// The watchers of one loop: who they are, how far each has come, and what each is to be sent. A value: rows,
/// requests and what was read come in, messages and wishes go out.
///
/// A watcher is *synced* when it has been sent everything up to `revision`: then it is told of new rows as
/// they come. Otherwise it is *lagging*, costs nothing but its place, and catches up by reading history from
/// a state of the store (`HistoryScan`), as far as its stream has room.
///
/// Guarantees:
/// 1. A watcher is sent every event that it wants from its first revision on, once, in order; those of one
///    revision in one message, unless it asked for fragments.
/// 2. A synced watcher has nothing left to see up to `revision`: its `next` is beyond, or nothing that came
///    since concerned it.
/// 3. A progress message of revision r leaves behind everything up to r that its watchers are to see.
/// 4. One scan at a time; rows that come meanwhile are kept until it is over, up to a limit.
/// 5. Streams, watchers and the index agree.
///
/// - Source: etcd `mvcc/watchable_store.go`, `v3rpc/watch.go`; that slow watchers hold no events is ours.
public struct WatchHub: Sendable {
  /// Bounds of what the hub holds and does at a time.
  public struct Limits: Sendable {
    /// Bytes that wait on a stream before its watchers lag behind.
    public var streamBytes = 256 << 10
    /// Watchers that catch up in one scan.
    public var scanWatchers = 512
    /// Bytes of events of one scan.
    public var scanBytes = 1 << 20
    /// Changes that one scan looks at.
    public var scanRows = 50_000
    /// Bytes of rows kept while a scan is under way.
    public var recentBytes = 8 << 20
    /// Messages that new rows give at once; who is not reached catches up.
    public var messages = 4_096
    /// Bytes of a message beyond which those who asked for it get fragments.
    public var fragmentBytes: Int

    public init(fragmentBytes: Int) { self.fragmentBytes = fragmentBytes }
  }

  enum Phase: UInt8, Sendable {
    case synced
    /// In `lagging`, waiting for a scan.
    case lagging
    /// In the scan under way.
    case scanning
    /// In its stream's `parked`, waiting for room.
    case parked
  }

  struct Watcher: Sendable {
    let stream: WatchStreamID
    /// As the client names it.
    let watchID: Int64
    let group: WatcherIndex.GroupID
    /// Distinguishes it from others that had its place.
    let serial: UInt32
    let options: WatchOptions
    var phase: Phase
    /// Whether nothing was sent since the last round of progress messages.
    var isQuiet = true
    /// First revision that it has to see.
    var next: Int64
  }

  struct Stream: Sendable {
    /// Their places, by the names that the client has for them: half as large as their own names would be.
    var watchers: [Int64: UInt32] = [:]
    /// The next automatic name.
    var nextID: Int64 = 0
    /// Bytes that were sent and have not left, as far as known.
    var queued = 0
    var isFull = false
    /// Lagging watchers that wait for room.
    var parked: [WatcherID] = []
    /// Watchers that are not synced.
    var behind = 0
    /// Watchers whose first revision was not reached when somebody last looked.
    var ahead: Set<WatcherID> = []
    /// Whether the client waits for a word about all its watchers.
    var owesProgress = false
  }

  /// Rows that came while a scan was under way, and the state with them.
  struct Recent: Sendable {
    let rows: NewRows
    let state: StoreSnapshot
  }

  let limits: Limits
  /// Newest revision that the hub was told of.
  public internal(set) var revision: Int64 = 0
  var index: WatcherIndex
  private var places = ChunkedArray<Watcher?>()
  private var free: [UInt32] = []
  private var serial: UInt32 = 0
  var streams: [WatchStreamID: Stream] = [:]
  private var nextStream: UInt64 = 1
  /// Watchers that wait for a scan, oldest first; some may be gone.
  var lagging: [WatcherID] = []
  var laggingHead = 0
  var isScanning = false
  var recent: [Recent] = []
  var recentBytes = 0
  /// Streams that were promised a word about progress.
  var owing: Set<WatchStreamID> = []
  /// Places of watchers of streams that were closed, to be forgotten.
  private var leaving: [UInt32] = []

  /// - Parameter seed: unknown to clients (`WatcherIndex`).
  public init(limits: Limits, seed: UInt64) {
    self.limits = limits
    index = WatcherIndex(seed: seed)
  }

  // MARK: Counts

  /// Watchers.
  public var count: Int { index.count }
  public var streamCount: Int { streams.count }
  /// Watchers that are not synced.
  public private(set) var behind = 0

  // MARK: Places

  subscript(_ id: WatcherID) -> Watcher? {
    get {
      let place = Int(id.place)
      guard place < places.count, let found = places[place],
        found.serial == id.serial
      else { return nil }
      return found
    }
    set { places[Int(id.place)] = newValue }
  }

  /// The name of who has a place.
  func id(at place: UInt32) -> WatcherID? {
    places[Int(place)].map { Self.id(at: place, serial: $0.serial) }
  }

  private static func id(at place: UInt32, serial: UInt32) -> WatcherID {
    WatcherID(UInt64(serial) << 32 | UInt64(place))
  }

  /// Whoever has a place, in the order of places.
  var watcherIDs: [WatcherID] {
    places.indices.compactMap { id(at: UInt32(truncatingIfNeeded: $0)) }
  }

  /// A name for a new watcher, which has its place but is not there yet.
  mutating func makeName() -> WatcherID {
    serial &+= 1
    // Nobody's name is zero.
    if serial == 0 { serial = 1 }
    let place: UInt32
    if let reused = free.popLast() {
      place = reused
    } else {
      precondition(places.count < Int(UInt32.max), "2^32 watchers")
      place = UInt32(truncatingIfNeeded: places.count)
      places.append(nil)
    }
    return Self.id(at: place, serial: serial)
  }

  /// Moves a watcher between synced and not.
  mutating func set(_ id: WatcherID, _ phase: Phase, next: Int64) {
    guard var watcher = self[id] else { return }
    let change = (phase == .synced ? 0 : 1) - (watcher.phase == .synced ? 0 : 1)
    watcher.phase = phase
    watcher.next = next
    self[id] = watcher
    behind += change
    if change != 0 { streams[watcher.stream]?.behind += change }
  }

  // MARK: Streams

  /// A client has opened a stream.
  public mutating func open() -> WatchStreamID {
    let id = WatchStreamID(nextStream)
    nextStream += 1
    streams[id] = Stream()
    return id
  }

  /// A stream is over. Its watchers are forgotten by `forget`: there may be very many.
  public mutating func close(_ id: WatchStreamID) {
    guard let stream = streams.removeValue(forKey: id) else { return }
    owing.remove(id)
    behind -= stream.behind
    leaving += stream.watchers.values
  }

  /// Forgets watchers of closed streams.
  /// - Returns: whether there are more.
  public mutating func forget(atMost count: Int) -> Bool {
    for _ in 0..<Swift.min(count, leaving.count) {
      if let id = leaving.popLast().flatMap(id(at:)) { remove(id) }
    }
    return !leaving.isEmpty
  }

  private mutating func remove(_ id: WatcherID) {
    guard let watcher = self[id] else { return }
    index.remove(id, from: watcher.group)
    self[id] = nil
    free.append(id.place)
    guard count == 0, places.count > Self.placesKept else { return }
    // A million watchers are gone: so are their places. Names that are still known somewhere find nobody.
    places = ChunkedArray()
    free = []
    lagging = []
    laggingHead = 0
  }

  /// Places that are kept when nobody watches.
  private static let placesKept = 1_024

  /// Takes a watcher out of a stream that goes on.
  mutating func end(_ id: WatcherID) {
    guard let watcher = self[id] else { return }
    streams[watcher.stream]?.watchers[watcher.watchID] = nil
    streams[watcher.stream]?.ahead.remove(id)
    if watcher.phase != .synced {
      behind -= 1
      streams[watcher.stream]?.behind -= 1
    }
    remove(id)
  }

  // MARK: Room

  /// Takes note of how many bytes wait on a stream: after messages were handed to it, and when those that
  /// waited have left.
  /// - Returns: whether there is no room, so that the hub has to hear of it when there is.
  public mutating func note(
    queued bytes: Int, on id: WatchStreamID, _ out: inout WatchOutput
  ) -> Bool {
    guard var stream = streams[id] else { return false }
    stream.queued = bytes
    stream.isFull = bytes > limits.streamBytes
    guard !stream.isFull else {
      streams[id] = stream
      return true
    }
    let parked = exchange(&stream.parked, with: [])
    streams[id] = stream
    for watcher in parked {
      guard let next = self[watcher]?.next else { continue }
      fallBehind(watcher, next: next)
    }
    payProgress(&out)
    scanIfNeeded(&out)
    return false
  }

  /// Notes a message for a stream.
  mutating func sent(_ message: WatchMessage, _ out: inout WatchOutput) {
    guard var stream = streams[message.stream] else { return }
    stream.queued += message.size
    if stream.queued > limits.streamBytes { stream.isFull = true }
    streams[message.stream] = stream
    out.messages.append(message)
  }

  // MARK: Invariants

  /// Guarantees 2, 4 and 5.
  /// - Returns: the first one that does not hold.
  public func checkInvariants() -> String? {
    if let problem = index.checkInvariants() { return problem }
    var inStreams = 0
    var behind = 0
    for (id, stream) in streams {
      var lag = 0
      for (watchID, place) in stream.watchers {
        guard let found = places[Int(place)], found.stream == id, found.watchID == watchID else {
          return "5: watcher \(watchID) of stream \(id) has no place"
        }
        if found.phase != .synced { lag += 1 }
      }
      guard lag == stream.behind else { return "5: \(lag) watchers behind, not \(stream.behind)" }
      inStreams += stream.watchers.count
      behind += lag
    }
    guard behind == self.behind else { return "5: \(behind) watchers behind in all" }
    guard inStreams + leaving.count == index.count else {
      return "5: \(inStreams) watchers in streams, \(leaving.count) leaving, \(index.count) in all"
    }
    if !isScanning, !recent.isEmpty { return "4: rows are kept for no scan" }
    let lost = places.indices.contains {
      places[$0].map { $0.phase == .scanning && !isScanning && streams[$0.stream] != nil } ?? false
    }
    return lost ? "4: a watcher waits for a scan that is over" : nil
  }
}
