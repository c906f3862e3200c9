import COpenSSL

/// A signature algorithm of JSON web tokens.
///
/// - Source: RFC 7518 §3.1.
struct SigningMethod: Sendable, Equatable {
  enum Family: Sendable { case hmac, rsa, rsaPSS, ecdsa }

  let name: String
  let family: Family
  /// Bits of the hash; for ECDSA, which stands for the curve too.
  let bits: Int

  /// - Parameter name: as in `RS256`; `nil` when it is none of them.
  init?(_ name: String) {
    guard name.utf8.count == 5, let bits = Int(name.suffix(3)), [256, 384, 512].contains(bits)
    else { return nil }
    switch name.prefix(2) {
    case "HS": family = .hmac
    case "RS": family = .rsa
    case "PS": family = .rsaPSS
    case "ES": family = .ecdsa
    default: return nil
    }
    self.name = name
    self.bits = bits
  }

  /// OpenSSL's hash; lives as long as the process.
  var hash: OpaquePointer? {
    switch bits {
    case 256: EVP_sha256()
    case 384: EVP_sha384()
    default: EVP_sha512()
    }
  }

  /// OpenSSL's name of the keys.
  var keyType: String { family == .ecdsa ? "EC" : "RSA" }

  /// Bits of the curve: 521 goes with SHA-512.
  var curveBits: Int { bits == 512 ? 521 : bits }

  /// Bytes of each of the two numbers of an ECDSA signature.
  var coordinateBytes: Int { (curveBits + 7) / 8 }
}
