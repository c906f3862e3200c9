import Bytes
import FuzzTargets
import Glibc

/// The target that `FUZZ_TARGET` names.
///
/// libFuzzer owns `main` and the process's arguments.
private let target: FuzzTarget = {
  let name = getenv("FUZZ_TARGET").map { String(cString: $0) } ?? ""
  guard let target = FuzzTarget.named(name) else {
    let names = FuzzTarget.all.map(\.name).joined(separator: " ")
    print("FUZZ_TARGET=\"\(name)\" names no target; there are: \(names)")
    exit(2)
  }
  return target
}()

/// - Source: libFuzzer's interface. Unsafe: `data` lives as long as the call, and is copied.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzOne(_ data: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  target.run(Bytes(UnsafeBufferPointer(start: data, count: count)))
  return 0
}
