import Bytes
import Calls
import Concurrency
import EtcdAPI
import Protobuf

/// A contender for a lock or an election within this member, in the name of a caller.
struct Candidacy: Sendable {
  private(set) var contender: Contender
  private let calls: SessionCalls

  init(_ name: Bytes, lease: Int64, _ calls: SessionCalls) {
    contender = Contender(name, lease: lease)
    self.calls = calls
  }

  var key: Bytes { contender.key }

  /// Puts the key unless the session has it already, and looks who is the oldest.
  mutating func enter(_ value: Bytes) async throws(GRPCStatus) -> Contender.Entry {
    let answer = try await calls.ask(contender.entry(value))
    let entry: Contender.Entry
    do throws(Contender.OddAnswer) { entry = try contender.entered(answer) } catch {
      throw GRPCStatus(error)
    }
    // Whoever has gone meanwhile leaves nothing behind, but what the session had before stays.
    guard Task.isCancelled else { return entry }
    if entry.earlier == nil { await withdraw() }
    throw .cancelled
  }

  /// Deletes the key if it is still the one that was put; when that fails it goes with its lease.
  func withdraw() async {
    _ = try? await calls.ask(contender.withdrawal)
  }

  /// Waits until no key is older.
  /// - Returns: the header of a read that found the own key, and none that is older; `nil` as soon as the
  ///   own key is gone, which will never be the oldest.
  /// - Throws: what made waiting impossible; the key is withdrawn then.
  func awaitTurn() async throws(GRPCStatus) -> Etcdserverpb.ResponseHeader? {
    do throws(GRPCStatus) {
      while true {
        let standing = try await look()
        if Task.isCancelled { throw .cancelled }
        switch standing {
        case .first(let header): return header
        case .gone: return nil
        case .behind(let older, let revision): try await awaitDeletion(of: older, after: revision)
        }
      }
    } catch {
      await withdraw()
      throw error
    }
  }

  private func look() async throws(GRPCStatus) -> Contender.Standing {
    let answer = try await calls.ask(contender.look)
    do throws(Contender.OddAnswer) { return try contender.standing(answer) } catch {
      throw GRPCStatus(error)
    }
  }

  /// Waits for the end of the older key, of the own one, or of what can be watched.
  private func awaitDeletion(of older: Bytes, after revision: Int64) async throws(GRPCStatus) {
    let stream = try calls.watch(
      [older, key].map { .init(key: $0, startRevision: revision + 1, filters: [.noput]) })
    defer { stream.cancel() }
    while let response = try await stream.nextWatchResponse() {
      if !response.events.isEmpty { return }
      guard response.canceled else { continue }
      // What was compacted away meanwhile shows when the keys are read again.
      if response.compactRevision > 0 { return }
      throw GRPCStatus(.unknown, response.cancelReason)
    }
    throw GRPCStatus(.unknown, "lost watcher waiting for delete")
  }
}

extension GRPCStatus {
  fileprivate init(_ error: Contender.OddAnswer) { self.init(.internal, "\(error)") }
}

extension LocalStream {
  /// The next answer of a watch; `nil` at its end.
  func nextWatchResponse() async throws(GRPCStatus) -> Etcdserverpb.WatchResponse? {
    do {
      return try await next().map { try Etcdserverpb.WatchResponse.decode($0) }
    } catch { throw GRPCStatus(error).asUnknown }
  }
}
