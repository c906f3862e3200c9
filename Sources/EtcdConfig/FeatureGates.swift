import GoText

/// `--feature-gates` of etcd 3.6: switches that are flags of their own in 3.5.
///
/// - Source: etcd 3.6 `pkg/featuregate`, `server/features`; `SetFeatureGatesFromExperimentalFlags`.
enum FeatureGates {
  private enum Stage { case alpha, beta }

  private struct Gate {
    let name: String
    let stage: Stage
    /// The flag of 3.5 with the same effect; `nil` for what this server does, or cannot do, anyway.
    let flag: String?
    /// What a gate without a flag amounts to.
    var isOn = false
  }

  private static let all = [
    Gate(
      name: "CompactHashCheck", stage: .alpha, flag: "experimental-compact-hash-check-enabled"),
    Gate(name: "FastLeaseKeepAlive", stage: .beta, flag: nil, isOn: true),
    Gate(name: "InitialCorruptCheck", stage: .alpha, flag: "experimental-initial-corrupt-check"),
    Gate(name: "LeaseCheckpoint", stage: .alpha, flag: "experimental-enable-lease-checkpoint"),
    Gate(
      name: "LeaseCheckpointPersist", stage: .alpha,
      flag: "experimental-enable-lease-checkpoint-persist"),
    Gate(name: "PriorityRequest", stage: .alpha, flag: nil),
    Gate(name: "SetMemberLocalAddr", stage: .alpha, flag: nil),
    Gate(
      name: "StopGRPCServiceOnDefrag", stage: .alpha,
      flag: "experimental-stop-grpc-service-on-defrag"),
    Gate(
      name: "TxnModeWriteWithSharedBuffer", stage: .beta,
      flag: "experimental-txn-mode-write-with-shared-buffer"),
  ]

  /// The values of flags that the gates among `given` stand for, behind it.
  /// - Throws: `ConfigFailure` in etcd's words for what is no gate or no value, and when a gate's flag is
  ///   given too; in ours for a gate that cannot be switched here.
  static func expand(_ given: [FlagParser.Given]) throws(ConfigFailure) -> [FlagParser.Given] {
    guard let item = given.last(where: { $0.name == "feature-gates" }) else { return given }
    var switches: [String: Bool] = [:]
    for part in item.value.text.split(separator: ",") {
      let words = part.split(separator: "=", maxSplits: 1).map { Self.trimmed($0) }
      guard let name = words.first, !name.isEmpty else { continue }
      guard words.count == 2 else { throw ConfigFailure("missing bool value for \(name)") }
      guard let isOn = GoNumber.bool(words[1]) else {
        throw ConfigFailure(
          "invalid value of \(name)=\(words[1]), err: "
            + GoNumber.refusal(.syntax, of: words[1], by: "ParseBool"))
      }
      for gate in try gates(name) { switches[gate.name] = isOn }
    }
    let names = Set(given.map(\.name))
    var expanded = given
    for gate in all {
      guard let isOn = switches[gate.name] else { continue }
      guard let flag = gate.flag else {
        guard isOn == gate.isOn else {
          throw ConfigFailure(
            "the feature gate \(gate.name) is always \(gate.isOn) in this version")
        }
        continue
      }
      guard !names.contains(flag) else {
        throw ConfigFailure(
          "cannot specify both flags: --\(flag) and --feature-gates=\(gate.name)=\(isOn) at the same"
            + " time, please just use --feature-gates=\(gate.name)=\(isOn)")
      }
      expanded.append(FlagParser.Given(name: flag, value: .bool(isOn), origin: item.origin))
    }
    return expanded
  }

  private static func gates(_ name: String) throws(ConfigFailure) -> [Gate] {
    switch name {
    // Gates that cannot be switched are not meant by those who say all.
    case "AllAlpha": return all.filter { $0.stage == .alpha && $0.flag != nil }
    case "AllBeta": return all.filter { $0.stage == .beta && $0.flag != nil }
    default:
      guard let gate = all.first(where: { $0.name == name }) else {
        throw ConfigFailure("unrecognized feature gate: \(name)")
      }
      return [gate]
    }
  }

  private static func trimmed(_ text: Substring) -> String {
    String(text.drop { $0 == " " }.reversed().drop { $0 == " " }.reversed())
  }
}
