import Testing

@testable import EtcdConfig

/// Flags as etcd 3.6 names them.
@Suite struct LaterNamesTests {
  @Test func eachNameHasItsFlag() throws {
    for (name, old) in FlagTable.laterNames {
      let flag = try #require(FlagTable.byName[name])
      let first = try #require(FlagTable.byName[old])
      #expect(flag.sameAs == old && flag.fallback == first.fallback)
    }
    #expect(try accepted(["--corrupt-check-time=5s"]).server.corruptCheckInterval == .seconds(5))
    #expect(try accepted([], ["ETCD_MEMORY_MLOCK": "true"]).server.memoryLock)
    let file = ["c": "downgrade-check-time: 7000000000"]
    #expect(
      try accepted(["--config-file=c"], files: file).server.downgradeCheckInterval == .seconds(7))
  }

  @Test func bothNamesAreRefused() {
    let message =
      "cannot set --experimental-corrupt-check-time and --corrupt-check-time at the same time, please"
      + " use --corrupt-check-time only"
    let line = ["--corrupt-check-time=5s", "--experimental-corrupt-check-time=5s"]
    #expect(refusal(line)?.message == message)
    #expect(refusal([line[0]], ["ETCD_EXPERIMENTAL_CORRUPT_CHECK_TIME": "5s"])?.message == message)
    let file = ["c": "corrupt-check-time: 1\nexperimental-corrupt-check-time: 1"]
    #expect(refusal(["--config-file=c"], files: file)?.message == message)
  }

  @Test func gatesAreFlags() throws {
    let on = try accepted([
      "--feature-gates", "InitialCorruptCheck=true, CompactHashCheck=1,LeaseCheckpoint=f",
    ]).server
    #expect(on.initialCorruptCheck && on.compactHashCheck && !on.leaseCheckpoint)
    let all = try accepted(["--feature-gates=AllAlpha=true,CompactHashCheck=false"]).server
    #expect(all.initialCorruptCheck && all.leaseCheckpointPersist && all.stopGRPCOnDefrag)
    #expect(!all.compactHashCheck)
    #expect(try accepted(["--feature-gates=FastLeaseKeepAlive=true"]).server.name == "default")
    for (gates, message) in [
      ("Nope=true", "unrecognized feature gate: Nope"),
      ("LeaseCheckpoint", "missing bool value for LeaseCheckpoint"),
      (
        "LeaseCheckpoint=x",
        "invalid value of LeaseCheckpoint=x, err: strconv.ParseBool: parsing \"x\": invalid syntax"
      ),
      (
        "SetMemberLocalAddr=true",
        "the feature gate SetMemberLocalAddr is always false in this version"
      ),
    ] {
      #expect(refusal(["--feature-gates=\(gates)"])?.message == message)
    }
    let both = refusal([
      "--feature-gates=LeaseCheckpoint=true", "--experimental-enable-lease-checkpoint",
    ])
    #expect(
      both?.message
        == "cannot specify both flags: --experimental-enable-lease-checkpoint and"
        + " --feature-gates=LeaseCheckpoint=true at the same time, please just use"
        + " --feature-gates=LeaseCheckpoint=true")
  }

  @Test func aCheckShowsTheNameThatWasGiven() throws {
    let line = CommandLine.parse(
      ["--check-config", "--corrupt-check-time=5s"], environment: [:], readFile: reader([:]))
    guard case .checked(let text) = line else { throw NotAccepted() }
    #expect(text.contains("\ncorrupt-check-time "))
    #expect(!text.contains("experimental-corrupt-check-time") && !text.contains("\nmemory-mlock"))
  }
}
