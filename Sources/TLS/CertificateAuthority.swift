import Bytes
import COpenSSL

/// Signs certificates for a cluster of one's own: what it signs proves to be of that cluster, and to nobody
/// else anything. Unsafe: OpenSSL's objects are pointers, freed before a call returns.
public struct CertificateAuthority: Sendable {
  /// A certificate with its key, both PEM.
  public struct Pair: Sendable, Equatable {
    public let certificate: Bytes
    public let key: Bytes

    public init(certificate: Bytes, key: Bytes) {
      self.certificate = certificate
      self.key = key
    }
  }

  /// What a certificate may be used for.
  public enum Use: Sendable { case server, client, both }

  /// Its own certificate and key.
  public let own: Pair

  /// An authority that was made before.
  public init(_ own: Pair) { self.own = own }

  /// A new one.
  /// - Parameters:
  ///   - name: its common name.
  ///   - days: for which it is valid.
  ///   - now: seconds since 1970.
  /// - Throws: `TLSFailure`.
  public static func make(name: String, days: Int, now: Int64) throws(TLSFailure) -> Self {
    let extensions: [(Int32, String)] = [
      (NID_basic_constraints, "critical,CA:TRUE"), (NID_key_usage, "critical,keyCertSign,cRLSign"),
      (NID_subject_key_identifier, "hash"),
    ]
    return CertificateAuthority(
      try issue(name: name, days: days, now: now, extensions, signer: nil))
  }

  /// A certificate that it signs.
  /// - Parameters:
  ///   - name: common name, empty for none; etcd takes it for a user where authentication is on.
  ///   - hosts: names and addresses that it is for, without ports.
  /// - Throws: `TLSFailure`.
  public func issue(
    name: String, hosts: [String], use: Use, days: Int, now: Int64
  ) throws(TLSFailure) -> Pair {
    let uses = [Use.server: "serverAuth", .client: "clientAuth"][use] ?? "serverAuth,clientAuth"
    var extensions: [(Int32, String)] = [
      (NID_basic_constraints, "critical,CA:FALSE"),
      (NID_key_usage, "critical,digitalSignature,keyEncipherment"), (NID_ext_key_usage, uses),
    ]
    let names = SelfSignedCertificate.alternativeNames(hosts)
    if !names.isEmpty { extensions.append((NID_subject_alt_name, names.joined(separator: ","))) }
    return try Self.issue(name: name, days: days, now: now, extensions, signer: own)
  }

  private static func issue(
    name: String, days: Int, now: Int64, _ extensions: [(Int32, String)], signer: Pair?
  ) throws(TLSFailure) -> Pair {
    guard let key = cossl_new_short_key(), let certificate = X509_new() else {
      throw TLSFailure("cannot generate a key: \(HandshakeProblem.text())")
    }
    defer {
      EVP_PKEY_free(key)
      X509_free(certificate)
    }
    // checked: a hundred years of days at most
    let end = now &+ Int64(min(max(1, days), 36_500)) &* 86_400
    guard
      SelfSignedCertificate.describe(
        certificate, key, from: now, to: end, commonName: name.isEmpty ? nil : name),
      extensions.allSatisfy({ cossl_add_extension(certificate, $0.0, $0.1) == 1 })
    else { throw TLSFailure("cannot make a certificate: \(HandshakeProblem.text())") }
    try sign(certificate, key, signer)
    let pem = SelfSignedCertificate.text { PEM_write_bio_X509($0, certificate) }
    let secret = SelfSignedCertificate.text {
      PEM_write_bio_PrivateKey($0, key, nil, nil, 0, nil, nil)
    }
    guard let pem, let secret else {
      throw TLSFailure("cannot encode a certificate: \(HandshakeProblem.text())")
    }
    return Pair(certificate: pem, key: secret)
  }

  private static func sign(
    _ certificate: OpaquePointer, _ key: OpaquePointer, _ signer: Pair?
  ) throws(TLSFailure) {
    guard let signer else {
      guard X509_sign(certificate, key, EVP_sha256()) > 0 else {
        throw TLSFailure("cannot sign a certificate: \(HandshakeProblem.text())")
      }
      return
    }
    let issuer = PEMReader.withInput(signer.certificate) { PEM_read_bio_X509($0, nil, nil, nil) }
    let issuerKey = PEMReader.withInput(signer.key) { PEM_read_bio_PrivateKey($0, nil, nil, nil) }
    defer {
      X509_free(issuer)
      EVP_PKEY_free(issuerKey)
    }
    guard let issuer, let issuerKey,
      X509_set_issuer_name(certificate, X509_get_subject_name(issuer)) == 1,
      X509_sign(certificate, issuerKey, EVP_sha256()) > 0
    else { throw TLSFailure("the authority cannot sign: \(HandshakeProblem.text())") }
  }
}
