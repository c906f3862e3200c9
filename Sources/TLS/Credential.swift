import Bytes
import COpenSSL

/// A certificate, those between it and a root, and its key: read once, for OpenSSL takes most of a start for it.
/// Unsafe: OpenSSL's objects are pointers, freed with this; whoever keeps one counts for itself.
final class Credential {
  /// The certificate first; empty when there was none in its file.
  let chain: [OpaquePointer]
  /// `nil` when there was none in its file.
  let key: OpaquePointer?

  /// - Parameters: contents of PEM files.
  /// - Returns: `nil` unless both are there.
  init?(_ certificate: Bytes?, _ key: Bytes?) {
    guard let certificate, let key else { return nil }
    chain = PEMReader.certificates(certificate)
    self.key = PEMReader.withInput(key) { PEM_read_bio_PrivateKey($0, nil, noPassword, nil) }
  }

  deinit {
    for certificate in chain { X509_free(certificate) }
    EVP_PKEY_free(key)
  }
}

/// The certificates of those who may sign. Unsafe as `Credential`.
final class Authorities {
  let certificates: [OpaquePointer]

  init(_ pem: Bytes) { certificates = PEMReader.certificates(pem) }

  deinit { for certificate in certificates { X509_free(certificate) } }
}
