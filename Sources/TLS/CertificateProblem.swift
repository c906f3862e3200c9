import COpenSSL
import EventLoops
import GoText

/// Why a certificate is not taken, in Go's words.
///
/// - Source: Go `crypto/x509`, `crypto/tls.CertificateVerificationError`.
enum CertificateProblem {
  /// What OpenSSL found.
  /// - Parameters:
  ///   - code: `X509_V_ERR_…`.
  ///   - facts: the certificate that it found it in; `nil` for none.
  ///   - now: seconds since 1970.
  static func text(_ code: Int32, _ facts: CertificateFacts?, now: Int64) -> String {
    switch code {
    case X509_V_ERR_CERT_HAS_EXPIRED, X509_V_ERR_CERT_NOT_YET_VALID:
      let isLate = code == X509_V_ERR_CERT_HAS_EXPIRED
      let limit = (isLate ? facts?.notAfter : facts?.notBefore) ?? 0
      return "x509: certificate has expired or is not yet valid: current time \(time(now))"
        + " is \(isLate ? "after" : "before") \(time(limit))"
    case X509_V_ERR_INVALID_PURPOSE:
      return "x509: certificate specifies an incompatible key usage"
    case X509_V_ERR_INVALID_CA, X509_V_ERR_KEYUSAGE_NO_CERTSIGN:
      return "x509: certificate is not authorized to sign other certificates"
    case X509_V_ERR_PATH_LENGTH_EXCEEDED:
      return "x509: too many intermediates for path length constraint"
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT, X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY,
      X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT, X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN,
      X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE, X509_V_ERR_CERT_UNTRUSTED,
      X509_V_ERR_CERT_SIGNATURE_FAILURE:
      return "x509: certificate signed by unknown authority"
    default:
      return "x509: \(String(cString: X509_verify_cert_error_string(Int(code))))"
    }
  }

  static func time(_ seconds: Int64) -> String {
    CivilTime(secondsSinceEpoch: Int(seconds)).rfc3339()  // checked: as wide
  }

  /// Whether a certificate is valid for a name or an address, by its alternative names alone.
  static func isValid(_ certificate: OpaquePointer, for host: String) -> Bool {
    if SocketAddress(host: host, port: 0) != nil {
      return X509_check_ip_asc(certificate, host, 0) == 1
    }
    let flags = UInt32(X509_CHECK_FLAG_NEVER_CHECK_SUBJECT | X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS)
    let name = host.hasSuffix(".") ? String(host.dropLast()) : host
    return !name.isEmpty && X509_check_host(certificate, name, name.utf8.count, flags, nil) == 1
  }

  /// What a certificate is valid for instead.
  /// - Source: Go `x509.HostnameError`.
  static func mismatch(_ facts: CertificateFacts, _ host: String) -> String {
    if facts.dnsNames.isEmpty, facts.ipAddresses.isEmpty, facts.commonName == host {
      return "x509: certificate relies on legacy Common Name field, use SANs instead"
    }
    let isAddress = SocketAddress(host: host, port: 0) != nil
    if isAddress, facts.ipAddresses.isEmpty {
      return "x509: cannot validate certificate for \(host) because it doesn't contain any IP SANs"
    }
    let valid = (isAddress ? facts.ipAddresses : facts.dnsNames).joined(separator: ", ")
    return valid.isEmpty
      ? "x509: certificate is not valid for any names, but wanted to match \(host)"
      : "x509: certificate is valid for \(valid), not \(host)"
  }
}

/// What an alert of the other side, or a failure of our own, is called.
enum HandshakeProblem {
  /// The first of OpenSSL's errors in Go's words.
  static func text() -> String {
    let error = ERR_get_error()
    ERR_clear_error()
    guard error != 0 else { return "EOF" }
    let reason = cossl_reason(error)
    if reason > SSL_AD_REASON_OFFSET, reason < SSL_AD_REASON_OFFSET + 256 {
      return "remote error: tls: \(alert(reason - SSL_AD_REASON_OFFSET))"
    }
    switch reason {
    case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE: return "tls: client didn't provide a certificate"
    case SSL_R_NO_SHARED_CIPHER: return "tls: no cipher suite supported by both client and server"
    case SSL_R_UNSUPPORTED_PROTOCOL, SSL_R_VERSION_TOO_LOW:
      return "tls: client offered only unsupported versions"
    case SSL_R_WRONG_VERSION_NUMBER, SSL_R_HTTP_REQUEST, SSL_R_PACKET_LENGTH_TOO_LONG:
      return "tls: first record does not look like a TLS handshake"
    case SSL_R_DECRYPTION_FAILED_OR_BAD_RECORD_MAC, SSL_R_BAD_RECORD_TYPE:
      return "local error: tls: bad record MAC"
    case SSL_R_UNEXPECTED_EOF_WHILE_READING: return "unexpected EOF"
    default:
      guard let words = ERR_reason_error_string(error) else { return "tls: error \(error)" }
      return "tls: \(String(cString: words))"
    }
  }

  /// - Source: Go `tls.alertText`.
  static func alert(_ number: Int32) -> String {
    alerts[number] ?? "alert(\(number))"
  }

  private static let alerts: [Int32: String] = [
    0: "close notify", 10: "unexpected message", 20: "bad record MAC", 21: "decryption failed",
    22: "record overflow", 30: "decompression failure", 40: "handshake failure",
    42: "bad certificate", 43: "unsupported certificate", 44: "revoked certificate",
    45: "expired certificate", 46: "unknown certificate", 47: "illegal parameter",
    48: "unknown certificate authority", 49: "access denied", 50: "error decoding message",
    51: "error decrypting message", 60: "export restriction",
    70: "protocol version not supported", 71: "insufficient security level", 80: "internal error",
    86: "inappropriate fallback", 90: "user canceled", 100: "no renegotiation",
    109: "missing extension", 110: "unsupported extension", 111: "certificate unobtainable",
    112: "unrecognized name", 113: "bad certificate status response",
    114: "bad certificate hash value", 115: "unknown PSK identity", 116: "certificate required",
    120: "no application protocol",
  ]
}

/// Names of hosts, as far as TLS tells them from addresses.
enum AddressName {
  /// Whether a client says that it asks for this host: a name, no address.
  static func isName(_ host: String) -> Bool {
    !host.isEmpty && SocketAddress(host: host, port: 0) == nil
  }
}
