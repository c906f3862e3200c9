import EtcdAPI
import EventLoops
import MVCC

/// What hashes of members say about their data, and what has to be done. Values in, values out.
///
/// - Source: etcd `etcdserver/corrupt.go` of 3.5.30, whose lines and fields these are.
enum CorruptionCheck {
  struct Verdict: Sendable {
    var lines: [CheckLine] = []
    /// Members whose data cannot be the same as that of the member that asked.
    var mismatches = 0

    mutating func mismatch(_ message: String, _ fields: [LogField]) {
      mismatches += 1
      lines.append(CheckLine(.warn, message, fields))
    }
  }

  // MARK: Before serving

  /// Compares a member that starts with those that run. Only different hashes of the same revision, with
  /// the same compacted revision, count.
  static func initial(localID: MemberID, _ local: MemberHash, _ peers: [PeerHash]) -> Verdict {
    var verdict = Verdict()
    let own = [
      LogField("local-member-id", .string(localID.hex)),
      LogField("local-member-revision", .int(Int(local.current))),
      LogField("local-member-compact-revision", .int(Int(local.value.compactRevision))),
      LogField("local-member-hash", .uint(UInt64(local.value.hash))),
    ]
    for peer in peers {
      let fields =
        own + [
          LogField("remote-peer-id", .string(peer.hexID)),
          LogField("remote-peer-endpoints", .strings(peer.endpoints)),
        ]
      switch peer.result {
      case .success(let remote):
        guard remote.value.hash != local.value.hash else { continue }
        let isSame = remote.value.compactRevision == local.value.compactRevision
        if isSame { verdict.mismatches += 1 }
        verdict.lines.append(
          CheckLine(
            .warn,
            isSame
              ? "found different hash values from remote peer"
              : "found different compact revision values from remote peer",
            fields + [
              LogField("remote-peer-revision", .int(Int(remote.current))),
              LogField("remote-peer-compact-revision", .int(Int(remote.value.compactRevision))),
              LogField("remote-peer-hash", .uint(UInt64(remote.value.hash))),
            ]))
      case .failure(let failure):
        guard let text = text(of: failure) else { continue }
        verdict.lines.append(
          CheckLine(.warn, text, fields + [LogField("error", .error(failure))]))
      }
    }
    return verdict
  }

  private static func text(of failure: PeerHash.Failure) -> String? {
    switch failure {
    case .futureRevision: "cannot fetch hash from slow remote peer"
    case .compacted: "cannot fetch hash from remote peer; local member is behind"
    case .clusterMismatch: "cluster ID mismatch"
    // Said when it happened.
    case .other: nil
    }
  }

  // MARK: While it leads

  /// Compares the leader with its followers.
  /// - Parameters:
  ///   - first: the leader's hash before the followers were asked for theirs at its revision.
  ///   - second: the leader's hash after a linearizable read that followed their answers.
  static func periodic(
    _ first: MemberHash, _ peers: [PeerHash], _ second: MemberHash
  ) -> Verdict {
    var verdict = Verdict()
    if second.value.hash != first.value.hash, second.current == first.current,
      second.value.compactRevision == first.value.compactRevision
    {
      verdict.mismatch("found hash mismatch", numbered(first, "1") + numbered(second, "2"))
    }
    var checked = 0
    for peer in peers {
      guard let hash = peer.hash else { continue }
      checked += 1
      compare(first, second, hash, LogField("follower-peer-id", .string(peer.hexID)), &verdict)
    }
    verdict.lines.append(
      CheckLine(
        .info, "finished peer corruption check",
        [LogField("number-of-peers-checked", .int(checked))]))
    return verdict
  }

  /// Compares the leader's hashes with that of one follower.
  private static func compare(
    _ first: MemberHash, _ second: MemberHash, _ hash: MemberHash, _ name: LogField,
    _ verdict: inout Verdict
  ) {
    let compacted = (
      leader: LogField("leader-compact-revision", .int(Int(second.value.compactRevision))),
      follower: LogField("follower-compact-revision", .int(Int(hash.value.compactRevision)))
    )
    if hash.current > second.current {
      verdict.mismatch(
        "revision from follower must be less than or equal to leader's",
        [
          LogField("leader-revision", .int(Int(second.current))),
          LogField("follower-revision", .int(Int(hash.current))), name,
        ])
    }
    if hash.value.compactRevision > second.value.compactRevision {
      verdict.mismatch(
        "compact revision from follower must be less than or equal to leader's",
        [compacted.leader, compacted.follower, name])
    }
    if hash.value.compactRevision == first.value.compactRevision,
      hash.value.hash != first.value.hash
    {
      verdict.mismatch(
        "same compact revision then hashes must match",
        [
          compacted.leader, LogField("leader-hash", .uint(UInt64(first.value.hash))),
          compacted.follower, LogField("follower-hash", .uint(UInt64(hash.value.hash))), name,
        ])
    }
  }

  private static func numbered(_ hash: MemberHash, _ number: String) -> [LogField] {
    [
      LogField("revision-\(number)", .int(Int(hash.current))),
      LogField("compact-revision-\(number)", .int(Int(hash.value.compactRevision))),
      LogField("hash-\(number)", .uint(UInt64(hash.value.hash))),
    ]
  }
}
