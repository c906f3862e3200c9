import Auth
import Bytes
import Calls
import EtcdAPI
import EventLoops
import MVCC
import Member
import Protobuf

/// A range in parts, each of which its client takes before the next is made.
///
/// - Source: etcd 3.7 `v3rpc/key.go` RangeStream, `v3_server.go` rangeStream. It reads part by part, at the
///   revision of the first; here all parts are of one state.
extension KVService {
  /// A part has at most so many bytes, unless one pair has more.
  private static let partBytes = 512 << 10
  private static let partRows = 1_000

  func rangeStream(_ stream: ServerStream) async throws -> GRPCStatus {
    var requests = stream.requests.makeAsyncIterator()
    guard let bytes = try await requests.next() else {
      return GRPCStatus(.internal, "the request of a range is missing")
    }
    let request: Etcdserverpb.RangeRequest
    do throws(ProtobufError) { request = try .decode(bytes) } catch {
      return GRPCStatus(.internal, "grpc: error unmarshalling request: \(error)")
    }
    member.metrics.ranges.add()
    do throws(EtcdError) {
      try KVValidation.check(request)
      if !request.serializable { try member.refuseOnLearner() }
    } catch { return GRPCStatus(error) }
    if let refusal = Self.refusal(request) { return refusal }
    let result: RangeResult
    let term: Term
    do throws(EtcdError) { (result, term) = try await read(request, stream.caller).get() } catch {
      return GRPCStatus(error)
    }
    try await send(result, member.header(term: term, revision: result.revision), to: stream)
    return .ok
  }

  /// Why a range cannot be had in parts.
  private static func refusal(_ request: Etcdserverpb.RangeRequest) -> GRPCStatus? {
    let isAscending = request.sortTarget == .key && request.sortOrder == .ascend
    guard request.sortOrder == .none || isAscending else {
      return GRPCStatus(.unimplemented, "RangeStream does not support custom sort orders")
    }
    let bounds = [
      request.minModRevision, request.maxModRevision, request.minCreateRevision,
      request.maxCreateRevision,
    ]
    guard bounds.allSatisfy({ $0 == 0 }) else {
      return GRPCStatus(.unimplemented, "RangeStream does not support revision filters")
    }
    return nil
  }

  /// Reads on a thread: such a range is a large one.
  private func read(
    _ request: Etcdserverpb.RangeRequest, _ caller: Caller
  ) async -> Result<(RangeResult, Term), EtcdError> {
    let wanted = WantedFlag()
    return await withTaskCancellationHandler {
      await read(request, caller, wanted)
    } onCancel: {
      wanted.clear()
    }
  }

  private func read(
    _ request: Etcdserverpb.RangeRequest, _ caller: Caller, _ wanted: WantedFlag
  ) async -> Result<(RangeResult, Term), EtcdError> {
    typealias Outcome = Result<(RangeResult, Term), EtcdError>
    return await withUnsafeContinuation { (done: UnsafeContinuation<Outcome, Never>) in
      member.read(linearizable: !request.serializable) { result, term in
        let state: ReadState
        do throws(EtcdError) { state = try result.get() } catch {
          return done.resume(returning: .failure(error))
        }
        permit(request, caller, state) { error in
          if let error { return done.resume(returning: .failure(error)) }
          member.shared.readers.run(on: member.loop) { () -> Result<RangeResult, EtcdError> in
            guard wanted.isSet else { return .failure(.stopped) }
            do throws(StoreError) { return .success(try state.snapshot.range(request)) } catch {
              return .failure(EtcdError(error))
            }
          } _: { outcome in
            done.resume(returning: outcome.flatMap { $0 }.map { ($0, term) })
          }
        }
      }
    }
  }

  private func permit(
    _ request: Etcdserverpb.RangeRequest, _ caller: Caller, _ state: ReadState,
    _ done: @escaping (EtcdError?) -> Void
  ) {
    guard state.auth.isEnabled else { return done(nil) }
    member.permitRead(
      state.auth, caller, { (auth, user) throws(EtcdError) in try auth.check(request, user) }, done)
  }

  /// What is true of the whole goes with the last part, which may be the only one.
  private func send(
    _ result: RangeResult, _ header: Etcdserverpb.ResponseHeader, to stream: ServerStream
  ) async throws {
    var rest = result.rows[...]
    repeat {
      var size = 0
      let rows = rest.prefix(Self.partRows).prefix { row in
        defer { size += row.count }
        return size == 0 || size + row.count <= Self.partBytes
      }
      rest = rest.dropFirst(rows.count)
      try await stream.send(Self.part(rows, rest.isEmpty ? (header, result) : nil))
    } while !rest.isEmpty
  }

  /// A RangeStreamResponse.
  private static func part(
    _ rows: ArraySlice<Bytes>, _ whole: (header: Etcdserverpb.ResponseHeader, result: RangeResult)?
  ) -> Bytes {
    let head = Etcdserverpb.RangeResponse(header: whole?.header).encoded()
    let tail = Etcdserverpb.RangeResponse(
      more: whole?.result.more ?? false, count: whole?.result.count ?? 0
    ).encoded()
    let size =
      head.count + tail.count + rows.reduce(0) { $0 + 1 + WireSize.delimited($1.count) }
    var out = ByteWriter(capacity: 1 + WireSize.delimited(size))
    out.append(0x0a)
    out.appendVarint(UInt64(size))
    out.append(head)
    for row in rows {
      out.append(0x12)
      out.appendVarint(UInt64(row.count))
      out.append(row)
    }
    out.append(tail)
    return out.finish()
  }
}
