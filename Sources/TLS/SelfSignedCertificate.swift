import Bytes
import COpenSSL
import EventLoops
import GoText
import Platform

/// A certificate that a member makes for itself: it keeps others from reading along, and proves nothing.
/// Unsafe: OpenSSL's objects are pointers, freed before `make` returns.
///
/// - Source: etcd `transport.SelfCert`: a key on P-521, organization `etcd`, for servers.
public struct SelfSignedCertificate: Sendable {
  /// PEM.
  public let certificate: Bytes
  /// PEM, `EC PRIVATE KEY`.
  public let key: Bytes
  /// Seconds since 1970.
  public let notAfter: Int64

  /// Longest validity, in years: what ASN.1's times can say.
  public static let yearsMax = 7_000

  /// - Parameters:
  ///   - hosts: names and addresses that it is for, without ports.
  ///   - years: of 365 days, at least 1.
  ///   - now: seconds since 1970.
  /// - Throws: `TLSFailure`.
  public static func make(
    hosts: [String], years: Int, now: Int64
  ) throws(TLSFailure) -> SelfSignedCertificate {
    guard years > 0 else {
      throw TLSFailure("selfSignedCertValidity is invalid,it should be greater than 0")
    }
    // checked: years are at most 7,000
    let seconds = Int64(min(years, yearsMax)) * 365 * 86_400
    guard let key = cossl_new_key(), let certificate = X509_new() else {
      throw TLSFailure("cannot generate ECDSA key: \(HandshakeProblem.text())")
    }
    defer {
      EVP_PKEY_free(key)
      X509_free(certificate)
    }
    let end = now &+ seconds
    guard describe(certificate, key, from: now, to: end), extend(certificate, hosts),
      X509_sign(certificate, key, EVP_sha512()) > 0
    else { throw TLSFailure("cannot generate x509 certificate: \(HandshakeProblem.text())") }
    let pem = text { PEM_write_bio_X509($0, certificate) }
    let secret = text { PEM_write_bio_PrivateKey_traditional($0, key, nil, nil, 0, nil, nil) }
    guard let pem, let secret else {
      throw TLSFailure("cannot encode the certificate: \(HandshakeProblem.text())")
    }
    return SelfSignedCertificate(certificate: pem, key: secret, notAfter: end)
  }

  /// Number, times, name and key; the issuer is the subject itself.
  static func describe(
    _ certificate: OpaquePointer, _ key: OpaquePointer, from start: Int64, to end: Int64,
    commonName: String? = nil
  ) -> Bool {
    guard let number = BN_new() else { return false }
    defer { BN_free(number) }
    let name = X509_get_subject_name(certificate)
    if let commonName {
      guard
        X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, commonName, -1, -1, 0) == 1
      else { return false }
    }
    return BN_rand(number, 127, -1, 0) == 1
      && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate)) != nil
      && X509_set_version(certificate, 2) == 1
      && ASN1_TIME_set(X509_getm_notBefore(certificate), Int(start)) != nil
      && ASN1_TIME_set(X509_getm_notAfter(certificate), Int(end)) != nil
      && X509_NAME_add_entry_by_txt(name, "O", MBSTRING_UTF8, "etcd", -1, -1, 0) == 1
      && X509_set_issuer_name(certificate, name) == 1 && X509_set_pubkey(certificate, key) == 1
  }

  private static func extend(_ certificate: OpaquePointer, _ hosts: [String]) -> Bool {
    func add(_ kind: Int32, _ text: String) -> Bool {
      cossl_add_extension(certificate, kind, text) == 1
    }
    let names = alternativeNames(hosts)
    return add(NID_basic_constraints, "critical,CA:FALSE")
      && add(NID_key_usage, "critical,digitalSignature,keyEncipherment")
      && add(NID_ext_key_usage, "serverAuth")
      && (names.isEmpty || add(NID_subject_alt_name, names.joined(separator: ",")))
  }

  /// As openssl's configuration files have them.
  static func alternativeNames(_ hosts: [String]) -> [String] {
    hosts.filter { !$0.isEmpty && !$0.contains(",") }.map {
      SocketAddress(host: $0, port: 0) == nil ? "DNS:\($0)" : "IP:\($0)"
    }
  }

  static func text(_ write: (OpaquePointer) -> Int32) -> Bytes? {
    guard let memory = BIO_new(BIO_s_mem()) else { return nil }
    defer { BIO_free(memory) }
    guard write(memory) == 1 else { return nil }
    var start: UnsafeMutablePointer<CChar>?
    let count = cossl_memory(memory, &start)
    return Bytes(copying: UnsafeRawBufferPointer(start: start, count: max(0, count)))
  }
}
