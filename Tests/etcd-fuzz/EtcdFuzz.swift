import Bytes
import FuzzTargets
import Glibc

/// The target that `FUZZ_TARGET` names; without one, all names, and the end.
///
/// libFuzzer owns `main` and the process's arguments, and takes `exit` for a finding.
private let target: FuzzTarget = {
  let name = getenv("FUZZ_TARGET").map { String(cString: $0) } ?? ""
  guard let target = FuzzTarget.named(name) else {
    for target in FuzzTarget.all { print(target.name) }
    fflush(nil)
    _exit(name.isEmpty ? 0 : 2)
  }
  return target
}()

/// - Source: libFuzzer's interface. Unsafe: `data` lives as long as the call, and is copied.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzOne(_ data: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  target.run(Bytes(UnsafeBufferPointer(start: data, count: count)))
  return 0
}

/// Writes the target's seeds into the folder that `FUZZ_SEEDS` names, before the fuzzer reads it.
@_cdecl("LLVMFuzzerInitialize")
public func initialise(_ count: OpaquePointer?, _ arguments: OpaquePointer?) -> CInt {
  let seeds = target.seeds
  guard let folder = getenv("FUZZ_SEEDS").map({ String(cString: $0) }) else { return 0 }
  for (number, seed) in seeds.enumerated() {
    guard let file = fopen("\(folder)/seed\(number)", "w") else {
      perror("cannot write a seed into \(folder)")
      return 1
    }
    seed.withUnsafeBytes { _ = fwrite($0.baseAddress, 1, $0.count, file) }
    fclose(file)
  }
  return 0
}
