import Bytes
import Calls
import EtcdAPI
import GoText
import JSON
import Membership

@testable import Auth
@testable import Discovery
@testable import EtcdConfig
@testable import EtcdCtlKit
@testable import GRPC
@testable import PeerTransport
@testable import TLS
@testable import V2Store

extension FuzzTarget {
  /// Short texts of flags, headers, tokens and answers.
  static let texts: [FuzzTarget] = [
    FuzzTarget("urls", seeds: ["http://127.0.0.1:2379", "unixs://a:0"]) { bytes in
      let text = bytes.string
      if let url = try? EtcdURL(text) {
        precondition((try? EtcdURL(url.description)) == url, "the URL \(url) changes")
      }
      _ = PeerURL(text)
      _ = HostPort(text)
      _ = try? GoURL(text)
      _ = try? InitialCluster.parse(text)
    },
    FuzzTarget("durations", seeds: ["1h2m3.5s", "-1.5µs"]) { _ = try? GoDuration.parse($0.string) },
    FuzzTarget("times", seeds: ["2026-01-02T03:04:05.678+01:00"]) { bytes in
      _ = CivilTime(rfc3339: bytes.string)
      _ = V2Time.parse(bytes.string)
    },
    FuzzTarget("versions", seeds: ["3.5.30", "3.6.0-rc.1"]) { bytes in
      _ = SemanticVersion(bytes.string)
      _ = SemanticVersion.clusterVersion(asked: bytes.string)
      _ = PeerVersion(bytes.string)
    },
    FuzzTarget("tokens", seeds: ["abcdefghijklmnop.12"]) { bytes in
      _ = SimpleTokens.parse(bytes.string)
      _ = RegistryToken(bytes.string)
    },
    FuzzTarget("grpc-headers", seeds: ["10S", "%41%zz"]) { bytes in
      _ = PercentCoding.decode(bytes)
      _ = Metadata.decodeBinary(bytes)
      _ = bytes.withUnsafeBytes { TimeoutCoding.decode($0.bindMemory(to: UInt8.self)) }
    },
    FuzzTarget("base64") { bytes in
      guard let plain = Base64.standard.decode(bytes) else { return }
      precondition((try? Base64.decodeLines(bytes)) == plain, "two readings of base64")
      _ = Base64.rawURL.decode(bytes)
      precondition(
        Base64.standard.decode(Base64.standard.encode(plain)) == plain, "base64 changes it")
    },
    FuzzTarget(
      "txn-text", seeds: ["value(\"a\") = \"b\"", "mod(\"a\") > \"0\"", "put a \"b\\x00\""]
    ) {
      _ = try? TxnWords.split($0.string)
      _ = try? Comparison.parse($0.string)
    },
    FuzzTarget("certificates") { bytes in
      _ = CertificateFacts.all(pem: bytes)
      _ = CertificateFacts(pem: bytes)
    },
  ]
}
