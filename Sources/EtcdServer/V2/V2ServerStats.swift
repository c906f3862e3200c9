import EtcdAPI
import EventLoops
import GoText
import JSON
import Member
import Synchronization

/// Messages with entries that a member had from its leader, or sent to its followers, as the v2 API tells of them.
///
/// - Source: etcd `v2stats/{server,queue,leader}.go`.
final class V2ServerStats: Sendable {
  /// Rates over the last messages of one direction.
  struct Rates {
    /// - Source: etcd `v2stats.queueCapacity`.
    private static let messagesMax = 200
    private var messages: [(time: Int64, size: Int)] = []

    mutating func add(_ size: Int, at now: Int64) {
      if messages.count >= 2 * Self.messagesMax { messages.removeFirst(Self.messagesMax) }
      messages.append((now, size))
    }

    /// Messages and bytes a second; nothing when the last one was more than a second ago.
    func perSecond(at now: Int64) -> (messages: Double, bytes: Double)? {
      let last = messages.suffix(Self.messagesMax)
      guard let first = last.first, let end = last.last, now &- end.time <= 1_000_000_000,
        end.time > first.time
      else { return nil }
      let seconds = Double(end.time &- first.time) / 1e9
      let bytes = last.reduce(0) { $0 &+ $1.size }
      return (Double(last.count) / seconds, Double(bytes) / seconds)
    }
  }

  /// What a leader knows of one follower.
  private struct Follower {
    var succeeded: UInt64 = 0
    var failed: UInt64 = 0
    /// Milliseconds.
    var current = 0.0
    var average = 0.0
    var averageSquare = 0.0
    var least = Double(UInt64(1) << 63)
    var most = 0.0

    mutating func succeed(_ milliseconds: Double) {
      let (total, squares) = (
        Double(succeeded) * average, Double(succeeded) * averageSquare
      )
      succeeded &+= 1
      current = milliseconds
      most = Swift.max(most, current)
      least = Swift.min(least, current)
      average = (total + current) / Double(succeeded)
      averageSquare = (squares + current * current) / Double(succeeded)
    }

    var json: JSONValue {
      let deviation = Swift.max(averageSquare - average * average, 0).squareRoot()
      return [
        "latency": [
          "current": .number("\(current)"), "average": .number("\(average)"),
          "standardDeviation": .number("\(deviation)"), "minimum": .number("\(least)"),
          "maximum": .number("\(most)"),
        ],
        "counts": ["fail": .number("\(failed)"), "success": .number("\(succeeded)")],
      ]
    }
  }

  private struct State {
    var received = Rates()
    var sent = Rates()
    var receivedCount: UInt64 = 0
    var sentCount: UInt64 = 0
    var followers: [MemberID: Follower] = [:]
    var leader = MemberID.none
    var ledSince: Int64 = 0
  }

  private let state = Mutex(State())
  private let started: Int64

  /// - Parameter now: nanoseconds since 1970, as everywhere here.
  init(now: Int64) {
    started = now
    state.withLock { $0.ledSince = now }
  }

  /// Messages with entries are about to be sent, and were: what that took tells how busy a follower's line is.
  func sent(_ messages: [Raftpb.Message], at now: Int64, took nanoseconds: Int64) {
    let appends = messages.filter { $0.type == .app }
    guard !appends.isEmpty else { return }
    let milliseconds = Double(Swift.max(nanoseconds, 0)) / Double(appends.count) / 1e6
    state.withLock { state in
      for message in appends {
        state.sent.add(message.encodedSize, at: now)
        state.sentCount &+= 1
        state.followers[MemberID(message.to), default: Follower()].succeed(milliseconds)
      }
    }
  }

  func failed(_ follower: MemberID) {
    state.withLock { $0.followers[follower, default: Follower()].failed &+= 1 }
  }

  func received(_ messages: [Raftpb.Message], at now: Int64) {
    state.withLock { state in
      for message in messages where message.type == .app {
        state.received.add(message.encodedSize, at: now)
        state.receivedCount &+= 1
      }
    }
  }

  func leaderChanged(to leader: MemberID, at now: Int64) {
    state.withLock { state in
      guard state.leader != leader, leader != .none else { return }
      state.leader = leader
      state.ledSince = now
    }
  }

  // MARK: Answers

  /// `/v2/stats/self`.
  func own(_ name: String, _ id: MemberID, _ status: MemberStatus, at now: Int64) -> JSONValue {
    let state = state.withLock { $0 }
    var members: [(String, JSONValue)] = [
      ("name", .string(name)), ("id", .string(id.hex)),
      ("state", .string("\(status.role)")), ("startTime", .string(Self.time(started))),
      (
        "leaderInfo",
        [
          "leader": .string(state.leader == .none ? "" : state.leader.hex),
          "uptime": .string(Duration.nanoseconds(now &- state.ledSince).goDescription),
          "startTime": .string(Self.time(state.ledSince)),
        ]
      ),
    ]
    func add(_ count: UInt64, _ rates: Rates, _ names: (String, String, String)) {
      members.append((names.0, .number("\(count)")))
      guard let rate = rates.perSecond(at: now) else { return }
      members.append((names.1, .number("\(rate.messages)")))
      members.append((names.2, .number("\(rate.bytes)")))
    }
    add(
      state.receivedCount, state.received,
      ("recvAppendRequestCnt", "recvPkgRate", "recvBandwidthRate"))
    add(state.sentCount, state.sent, ("sendAppendRequestCnt", "sendPkgRate", "sendBandwidthRate"))
    return .object(JSONObject(members.map { .init($0.0, $0.1) }))
  }

  /// `/v2/stats/leader`.
  func followers(of leader: MemberID) -> JSONValue {
    let followers = state.withLock { $0.followers }
    let members = followers.sorted { $0.key < $1.key }.map {
      JSONObject.Member($0.key.hex, $0.value.json)
    }
    return ["leader": .string(leader.hex), "followers": .object(JSONObject(members))]
  }

  private static func time(_ nanoseconds: Int64) -> String {
    CivilTime(nanosecondsSinceEpoch: nanoseconds).rfc3339(fraction: .shortest)
  }
}
