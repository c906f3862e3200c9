import Bytes
import JSON

/// What points clients at a cluster. Pure.
struct EnvironmentLines {
  /// Names with their values, in the order in which they are shown.
  let pairs: [(name: String, value: String)]

  init(_ plan: ClusterPlan) {
    var pairs = [("ETCDCTL_ENDPOINTS", plan.endpoints)]
    switch plan.security {
    case .none: break
    case .auto: pairs.append(("ETCDCTL_INSECURE_SKIP_TLS_VERIFY", "true"))
    case .own:
      pairs.append(("ETCDCTL_CACERT", plan.certificates.authority))
      pairs.append(("ETCDCTL_CERT", plan.certificates.certificate(.client)))
      pairs.append(("ETCDCTL_KEY", plan.certificates.key(.client)))
    }
    if let auth = plan.auth { pairs.append(("ETCDCTL_USER", "root:\(auth.root)")) }
    self.pairs = pairs.map { (name: $0.0, value: $0.1) }
  }

  /// For POSIX shells, a line each.
  var export: String {
    pairs.map { "export \($0.name)=\(Self.quoted($0.value))" }.joined(separator: "\n")
  }

  func text(_ format: EnvironmentFormat) -> String {
    switch format {
    case .sh: return export
    case .fish:
      return pairs.map { "set -gx \($0.name) \(Self.quoted($0.value))" }.joined(separator: "\n")
    case .json:
      var object = JSONObject()
      for pair in pairs { object[pair.name] = .string(pair.value) }
      return JSONValue.object(object).encoded().string
    }
  }

  /// As a shell takes it.
  static func quoted(_ text: String) -> String {
    let plain = text.allSatisfy {
      $0.isASCII && ($0.isLetter || $0.isNumber || "_-./:,=@%+".contains($0))
    }
    return plain && !text.isEmpty
      ? text
      : "'"
        + text.split(separator: "'", omittingEmptySubsequences: false).joined(separator: "'\\''")
        + "'"
  }
}
