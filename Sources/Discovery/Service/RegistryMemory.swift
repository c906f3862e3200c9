import Bytes
import EtcdAPI
import Synchronization
import V2Store

/// Tokens that a service keeps itself, for as long as it runs: for clusters that the process that serves makes.
package final class RegistryMemory: RegistryStore {
  /// Tokens that are kept; further ones are refused.
  static let tokensMax = 100

  private typealias Answer = Result<RegistryAnswer, RegistryRefusal>

  /// Of a wait that is given up, by either side.
  private static let ended = Answer.failure(.key(V2Error(.raftInternal, "the wait ended")))

  /// Somebody who waits for the next member of a token.
  private struct Waiter {
    let token: String
    let from: Int64
    let answer: CheckedContinuation<Answer, Never>
  }

  private struct State {
    var table = RegistryTable()
    var waiters: [Int: Waiter] = [:]
    var lastWaiter = 0

    /// Takes out those whose wait is over.
    mutating func due() -> [(Waiter, Answer)] {
      var found: [(Waiter, Answer)] = []
      for (id, waiter) in waiters {
        guard let result = table.next(waiter.token, from: waiter.from) else { continue }
        waiters[id] = nil
        found.append((waiter, result))
      }
      return found
    }
  }

  private let state = Mutex(State())

  package init() {}

  /// Begins a token anew: nobody has come.
  package func make(_ token: RegistryToken, size: Int) {
    change { $0.make(token.text, size) }
  }

  private func change<R>(_ body: (inout RegistryTable) -> R) -> R {
    let (result, due) = state.withLock { state in
      let result = body(&state.table)
      return (result, state.due())
    }
    for (waiter, answer) in due { waiter.answer.resume(returning: answer) }
    return result
  }

  func answer(
    _ request: RegistryRequest, url: (String) -> String
  ) async throws(RegistryRefusal) -> RegistryAnswer {
    switch request {
    case .new(let size):
      let token = RegistryToken.random().text
      let isKept = change { table in
        guard table.count < Self.tokensMax else { return false }
        table.make(token, size)
        return true
      }
      guard isKept else { throw .text(403, "this service keeps \(Self.tokensMax) tokens at most") }
      return RegistryAnswer(text: url(token))
    case .wait(let token, let from): return try await wait(token, from).get()
    default: return try change { $0.result(of: request) }.get()
    }
  }

  private func wait(_ token: String, _ from: Int64) async -> Answer {
    let id = state.withLock { state in
      state.lastWaiter &+= 1
      return state.lastWaiter
    }
    return await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        let now = state.withLock { state -> Answer? in
          if Task.isCancelled { return Self.ended }
          if let answer = state.table.next(token, from: from) { return answer }
          state.waiters[id] = Waiter(token: token, from: from, answer: continuation)
          return nil
        }
        if let now { continuation.resume(returning: now) }
      }
    } onCancel: {
      let waiter = state.withLock { $0.waiters.removeValue(forKey: id) }
      waiter?.answer.resume(returning: Self.ended)
    }
  }

  /// Whether anybody waits for the next member of a token.
  var isWaitedFor: Bool { state.withLock { !$0.waiters.isEmpty } }

  func close() {
    let left = state.withLock { state in exchange(&state.waiters, with: [:]) }
    for waiter in left.values { waiter.answer.resume(returning: Self.ended) }
  }
}

/// What such a service knows. Pure.
struct RegistryTable {
  private struct Cluster {
    let size: Mvccpb.KeyValue
    var members: [Mvccpb.KeyValue] = []
  }

  private var clusters: [String: Cluster] = [:]
  private var index: Int64 = 0

  var count: Int { clusters.count }

  private static func path(_ token: String) -> String { RegistryToken.root + token }

  mutating func make(_ token: String, _ size: Int) {
    clusters[token] = Cluster(size: pair("\(Self.path(token))/_config/size", "\(size)"))
  }

  /// A key that is written now.
  private mutating func pair(_ key: String, _ value: String) -> Mvccpb.KeyValue {
    index &+= 1
    var pair = Mvccpb.KeyValue()
    (pair.key, pair.value) = (Bytes(key), Bytes(value))
    (pair.createRevision, pair.modRevision) = (index, index)
    return pair
  }

  private func cluster(_ token: String) throws(RegistryRefusal) -> Cluster {
    guard let cluster = clusters[token] else { throw .notFound(Self.path(token), index) }
    return cluster
  }

  /// Answers what needs no wait.
  mutating func result(of request: RegistryRequest) -> Result<RegistryAnswer, RegistryRefusal> {
    do throws(RegistryRefusal) { return .success(try answer(request)) } catch {
      return .failure(error)
    }
  }

  private mutating func answer(_ request: RegistryRequest) throws(RegistryRefusal) -> RegistryAnswer
  {
    switch request {
    case .new, .wait: preconditionFailure("\(request) is the service's")
    case .size(let token):
      return RegistryAnswer(.get, try cluster(token).size, index: index)
    case .list(let token):
      let keys = try cluster(token).members.sorted { $0.key.string < $1.key.string }
      return RegistryAnswer(directory: Self.path(token), keys, index: index)
    case .entry(let token, let id):
      let key = "\(Self.path(token))/\(id)"
      guard let pair = try cluster(token).members.first(where: { $0.key.string == key }) else {
        throw .notFound(key, index)
      }
      return RegistryAnswer(.get, pair, index: index)
    case .enter(let token, let id, let value): return try enter(token, id, value)
    case .leave(let token, let id):
      let key = "\(Self.path(token))/\(id)"
      guard let place = try cluster(token).members.firstIndex(where: { $0.key.string == key })
      else { throw .notFound(key, index) }
      let gone = clusters[token]?.members.remove(at: place) ?? Mvccpb.KeyValue()
      index &+= 1
      return RegistryAnswer(.delete, gone, index: index)
    }
  }

  private mutating func enter(
    _ token: String, _ id: String, _ value: String
  ) throws(RegistryRefusal) -> RegistryAnswer {
    let cluster = try cluster(token)
    let size = Int(cluster.size.value.string) ?? 0
    guard cluster.members.count < size + RegistryToken.surplusMax else {
      throw .text(403, "\(cluster.members.count) members have come for a cluster of \(size)")
    }
    let key = "\(Self.path(token))/\(id)"
    guard !cluster.members.contains(where: { $0.key.string == key }) else {
      throw .key(V2Error(.nodeExists, key, index: UInt64(clamping: index)))
    }
    let pair = pair(key, value)
    clusters[token]?.members.append(pair)
    return RegistryAnswer(.create, pair, status: 201, index: index)
  }

  /// The first who came at `from` or behind it; `nil` while nobody has.
  func next(_ token: String, from: Int64) -> Result<RegistryAnswer, RegistryRefusal>? {
    guard let cluster = clusters[token] else {
      return .failure(.notFound(Self.path(token), index))
    }
    guard let pair = cluster.members.first(where: { $0.modRevision >= from }) else { return nil }
    return .success(RegistryAnswer(.create, pair, index: index))
  }
}
