import Bytes
import JSON
import Membership
import YAML

@testable import EtcdServer
@testable import HTTP
@testable import V2Store

extension FuzzTarget {
  /// Documents that somebody else wrote.
  static let documents: [FuzzTarget] = [
    FuzzTarget("json", seeds: ["{\"a\":[1,-2.5e3,null,true,\"\\u00e9\"]}"]) { bytes in
      guard let value = try? JSONValue.parse(bytes) else { return }
      let written = value.encoded()
      guard let again = try? JSONValue.parse(written) else {
        preconditionFailure("the JSON that was written is not read: \(written.string)")
      }
      precondition(again.encoded() == written, "the JSON changes: \(written.string)")
    },
    FuzzTarget("yaml", seeds: ["a: [1, {b: c}]\nd: &x |\n  text\ne: *x\n"]) { bytes in
      _ = try? YAMLReader.read(Array(bytes))
    },
    FuzzTarget("v2-store", seeds: [V2Store().document()]) { bytes in
      guard let store = try? V2Store(document: bytes) else { return }
      let written = store.document()
      guard let again = try? V2Store(document: written) else {
        preconditionFailure("the v2 store that was written is not read")
      }
      precondition(again.document() == written, "the v2 store changes")
    },
    FuzzTarget("members") { bytes in
      _ = try? ExistingCluster.decode(bytes)
      _ = try? MemberInfo(json: bytes)
      _ = try? Downgrade(json: bytes)
    },
    FuzzTarget("v2-form", seeds: ["PUT\n/a/b\nttl=5&prevExist=true\nvalue=x"]) { bytes in
      let parts = bytes.split(separator: 0x0a, maxSplits: 3, omittingEmptySubsequences: false)
      guard parts.count == 4 else { return }
      guard
        let form = try? HTTPForm(
          form: parts[3].isEmpty ? nil : parts[3].detached(), query: parts[2].string)
      else { return }
      guard
        let request = try? V2KeyRequest(
          parts[0].string, parts[1].string, form, now: 1_700_000_000_000_000_000)
      else { return }
      var store = V2Store()
      _ = try? store.apply(request.request)
      _ = store.document()
    },
  ]
}
